"""What running costs: price lists as data with source and date, and what of them a second of a job is charged.

There is one way to compute what a job cost, :meth:`Tariff.cost`; what differs between places is the tariff. Clouds that
bill whole instances charge for the time of the job, whatever it used; on one's own machine a job is charged the CPU
seconds it used. The figures stand in ``prices.toml`` beside this module; a file of the user's own adds to them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from reelpress.errors import UsageError
from reelpress.facts.values import Value, from_plain
from reelpress.receipt import CostParts

CPU_HOUR = "cpu-hour"
_OWN = re.compile(r"own:([0-9]{1,6}(?:\.[0-9]{1,6})?)/h")
_OUR_FILE = Path(__file__).with_name("prices.toml")
_AUTO = ("auto", "")


class Rates(Value, frozen=True, kw_only=True):
    """The prices of a place that computes, in USD.

    ``billed`` ``instance``: a machine is paid for while it works on a job; ``used``: a job is charged what it used.
    ``usd_per_gpu_s`` ``None`` means that no price is known. ``usd_per_machine_s`` is of a machine as a whole.
    ``verified`` tells whether the figures were read on the seller's own page.
    """

    name: str
    title: str
    billed: Literal["instance", "used"]
    usd_per_vcpu_s: float = 0.0
    usd_per_gib_s: float = 0.0
    usd_per_gpu_s: float | None = None
    usd_per_machine_s: float = 0.0
    source: str = "the settings"
    seen: str = ""  # the month in which the source said so, as "2026-08"
    verified: bool = False


class StorageRates(Value, frozen=True, kw_only=True):
    """The prices of a store, in USD: for keeping a GiB for a month, and for bringing one out of its ``cloud``."""

    name: str
    title: str
    scheme: str
    cloud: str
    usd_per_gib_month: float
    usd_per_gib_egress: float
    host: str | None = None  # how the endpoint's host ends, where the scheme is not the seller's alone
    source: str = "the settings"
    seen: str = ""
    verified: bool = False


class PriceBook(Value, frozen=True, kw_only=True):
    """All price lists that are known."""

    compute: tuple[Rates, ...] = ()
    storage: tuple[StorageRates, ...] = ()


class Tariff(Value, frozen=True, kw_only=True):
    """What one job on one machine is charged for each second; ``text`` says so to people.

    ``cpu_s`` counts CPU seconds of child processes, ``wall_s`` the clock, ``gpu_s`` the time that FFmpeg ran
    on a GPU. ``None`` means that no price is known, and that what it would have cost is left out.
    """

    name: str
    text: str
    usd_per_cpu_s: float = 0.0
    cpu_usd_per_wall_s: float = 0.0
    memory_usd_per_wall_s: float | None = 0.0
    gpu_usd_per_wall_s: float | None = 0.0
    usd_per_gpu_s: float | None = 0.0

    def cost(self, *, wall_s: float, cpu_s: float, gpu_s: float = 0.0) -> CostParts:
        """Return what this much of a machine cost, by its parts."""
        memory = None if self.memory_usd_per_wall_s is None else wall_s * self.memory_usd_per_wall_s
        gpu = None if self.gpu_usd_per_wall_s is None else wall_s * self.gpu_usd_per_wall_s
        if gpu_s > 0:
            gpu = None if gpu is None or self.usd_per_gpu_s is None else gpu + gpu_s * self.usd_per_gpu_s
        return CostParts(cpu=cpu_s * self.usd_per_cpu_s + wall_s * self.cpu_usd_per_wall_s, memory=memory, gpu=gpu)

    def basis(self, *, uses_gpu: bool) -> str:
        """Return ``text``, and what has no price, where nothing is said of what a job costs without all its parts."""
        unpriced = self.cost(wall_s=1.0, cpu_s=1.0, gpu_s=1.0 if uses_gpu else 0.0).unpriced
        return f"{self.text}; {no_price(unpriced)}: nothing is said of what uses it" if unpriced else self.text


def no_price(parts: Sequence[str]) -> str:
    """Return in words that parts of a cost have no price."""
    return f"no price is known for {' and '.join(parts)}"


def by_cpu_hour(usd_per_cpu_hour: float, usd_per_gpu_hour: float | None = None) -> Rates:
    """Return rates that charge the core seconds a job used, and the seconds it had a GPU."""
    gpu = None if usd_per_gpu_hour is None else usd_per_gpu_hour / 3600
    title = f"CPU seconds of child processes at {usd_per_cpu_hour:g} USD per core and hour"
    return Rates(
        name=CPU_HOUR, title=title, billed="used", usd_per_vcpu_s=usd_per_cpu_hour / 3600, usd_per_gpu_s=gpu
    )  # fmt: skip


FREE = by_cpu_hour(0.0, 0.0)


def price_book(own_file: str | None = None) -> PriceBook:
    """Return our price lists, with those of ``own_file`` before them. Raises :class:`UsageError` for a bad file."""
    ours = _read(_OUR_FILE)
    if own_file is None:
        return ours
    try:
        own = _read(Path(own_file))
    except (OSError, ValueError, msgspec.ValidationError) as error:
        hint = "Its form is that of prices.toml in docs/costs.md."
        raise UsageError(f"{own_file} cannot be read as prices.", evidence=str(error), hint=hint) from None
    _refuse_negative(own, own_file)
    return PriceBook(compute=(*own.compute, *ours.compute), storage=(*own.storage, *ours.storage))


def _read(path: Path) -> PriceBook:
    import tomllib  # not at every start of the program: most runs need no price list

    plain: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    unknown = sorted(set(plain) - set(PriceBook.__struct_fields__))
    if unknown:
        raise ValueError(f"unknown: {', '.join(unknown)}")
    for named, kind in (("compute", Rates), ("storage", StorageRates)):
        rows = plain.get(named, [])
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise ValueError(f"{named} is no list of tables")
        for row in rows:
            strange = sorted(set(row) - set(kind.__struct_fields__))
            if strange:
                raise ValueError(f"{row.get('name')}: unknown: {', '.join(strange)}")
    return from_plain(plain, PriceBook)


def _refuse_negative(book: PriceBook, named: str) -> None:
    rows: tuple[Rates | StorageRates, ...] = (*book.compute, *book.storage)
    for row in rows:
        for field in row.__struct_fields__:
            value = getattr(row, field)
            if isinstance(value, float) and not 0 <= value < 1e6:
                raise UsageError(f"{named}: {field} of {row.name} cannot be {value:g}.", hint="accepted: 0 to 1e6 USD")


def choose_rates(
    named: str,
    *,
    own_file: str | None,
    usd_per_cpu_hour: float,
    usd_per_gpu_hour: float | None,
    environ: Mapping[str, str],
    has_gpu: bool,
) -> Rates:
    """Return the rates that a setting names: a list's name, ``own:USD/h``, ``cpu-hour``, or ``auto``.

    ``auto`` is Cloud Run where its environment says so (``K_SERVICE``), with an L4 where there is a GPU; elsewhere CPU
    seconds are charged. ``usd_per_gpu_hour`` stands in for what a list says of a GPU, or where there is one does not.

    Raises :class:`UsageError` for a name that is none.
    """
    if named.lower() in _AUTO:
        on_cloud_run = bool(environ.get("K_SERVICE") or environ.get("CLOUD_RUN_JOB"))
        named = ("cloud-run-l4" if has_gpu else "cloud-run-cpu") if on_cloud_run else CPU_HOUR
    if named == CPU_HOUR:
        return by_cpu_hour(usd_per_cpu_hour, usd_per_gpu_hour)
    own = _OWN.fullmatch(named)
    if own is not None:
        title = f"an own machine at {own[1]} USD per hour"
        return Rates(name="own", title=title, billed="instance", usd_per_machine_s=float(own[1]) / 3600)
    book = price_book(own_file)
    found = next((row for row in book.compute if row.name == named), None)
    if found is None:
        known = ", ".join(dict.fromkeys(row.name for row in book.compute))
        raise UsageError(
            f"REELPRESS_PRICES cannot be {named!r}.", hint=f"accepted: auto, {CPU_HOUR}, own:USD/h, {known}"
        )
    if usd_per_gpu_hour is not None and (found.usd_per_gpu_s is not None or (has_gpu and not found.usd_per_machine_s)):
        found = msgspec.structs.replace(found, usd_per_gpu_s=usd_per_gpu_hour / 3600)
    return found


def tariff(rates: Rates, *, cores: int, memory_mb: int | None, has_gpu: bool, at_once: int = 1) -> Tariff:
    """Return what a job is charged on a machine of this size that is shared by ``at_once`` jobs.

    Where whole instances are billed each job is charged its share of a machine that is full: what a machine costs while
    it is idle, or starts, is no job's.
    """
    if rates.billed == "used":
        return Tariff(
            name=rates.name, text=rates.title, usd_per_cpu_s=rates.usd_per_vcpu_s, usd_per_gpu_s=rates.usd_per_gpu_s
        )
    share = 1 / max(1, at_once)
    gib = None if memory_mb is None else memory_mb / 1024
    memory = 0.0 if not rates.usd_per_gib_s else None if gib is None else gib * rates.usd_per_gib_s * share
    gpu: float | None = 0.0
    if rates.usd_per_gpu_s is not None:
        gpu = rates.usd_per_gpu_s * share
    elif has_gpu and not rates.usd_per_machine_s:
        gpu = None
    return Tariff(
        name=rates.name, text=_instance_text(rates, cores, gib, at_once),
        cpu_usd_per_wall_s=(rates.usd_per_vcpu_s * cores + rates.usd_per_machine_s) * share,
        memory_usd_per_wall_s=memory, gpu_usd_per_wall_s=gpu,
    )  # fmt: skip


def _instance_text(rates: Rates, cores: int, gib: float | None, at_once: int) -> str:
    machine = rates.title
    if not rates.usd_per_machine_s:
        memory = "unknown memory" if gib is None else f"{gib:.3g} GiB"
        machine = f"{rates.name}: {cores} vCPU, {memory}{' and a GPU' if rates.usd_per_gpu_s is not None else ''}"
    shared = f", shared by {at_once} jobs" if at_once > 1 else ""
    seen = f", prices of {rates.seen}" if rates.seen else ""
    return f"{machine}, for the time of the job{shared}{seen}"


def storage_rates(
    named: str, url: str, *, endpoint: str | None = None, own_file: str | None = None
) -> StorageRates | None:
    """Return the prices of the store at an address; ``None`` where none is known (folders, Azure, an S3 of one's own).

    ``named`` ``auto`` follows the address and its ``endpoint``, ``none`` asks for none. Raises :class:`UsageError`.
    """
    if named == "none":
        return None
    rows = price_book(own_file).storage
    if named.lower() not in _AUTO:
        found = next((row for row in rows if row.name == named), None)
        if found is None:
            known = ", ".join(dict.fromkeys(row.name for row in rows))
            raise UsageError(f"REELPRESS_STORAGE_PRICES cannot be {named!r}.", hint=f"accepted: auto, none, {known}")
        return found
    scheme = url.partition("://")[0]
    host = re.sub(r"^[a-z]+://|[:/].*$", "", endpoint or "") or None
    for row in rows:
        is_there = host is None if row.host is None else host is not None and host.endswith(row.host)
        if row.scheme == scheme and (is_there or (row.host is None and (host or "").endswith(".amazonaws.com"))):
            return row
    return None
