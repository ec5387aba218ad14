"""``reelpress quote``: files to quotes, quotes to a table of 80 columns or to JSON."""

from __future__ import annotations

import contextlib
import sys
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

import click
import msgspec

from reelpress.api import policy_from
from reelpress.batch import Item
from reelpress.cli.compress import settings_and_request
from reelpress.cli.ledger_source import from_receipts
from reelpress.cli.render import human_bytes, human_time, plain_text
from reelpress.errors import ExitCode, InputError, ReelpressError, UsageError
from reelpress.facts.host import HostFacts
from reelpress.facts.prediction import Interval
from reelpress.facts.values import to_json
from reelpress.policy import RunPolicy
from reelpress.probe.host import probe_host
from reelpress.quoting.model import Offer, Quote
from reelpress.quoting.prediction import ErrorTable, learned
from reelpress.quoting.quote import BUDGET_S, QuoteOptions, quote_file
from reelpress.request import CODECS, Codec, Request
from reelpress.run.temporary import temporary_folder

_MOST_BUDGET_S = 86_400.0


def run_quote(
    files: Sequence[str],
    flags: Mapping[str, str | None],
    *,
    encoders: str | None,
    quick: bool,
    budget_s: str | None,
    max_size: str | None,
    hardware: str | None,
    always_encode: bool,
    receipts: Path | None,
    as_json: bool,
) -> int:
    """Quote every file, one after another; the exit code is that of the first that cannot be used."""
    settings, request = settings_and_request(flags, max_size=max_size, hardware=hardware, always_encode=always_encode)
    options = QuoteOptions(
        codecs=codecs_of(encoders, request.codec), quick=quick, budget_s=_seconds(budget_s),
        errors=ErrorTable() if receipts is None else learned(from_receipts(receipts, 0.0, None)),
    )  # fmt: skip
    host = probe_host(ffmpeg=settings.ffmpeg, cache_dir=settings.cache_path)
    code = ExitCode.DONE
    with temporary_folder("quote-") as folder:
        for number, file in enumerate(files):
            place = folder / str(number)
            place.mkdir()
            try:
                made = quote_file(
                    file, place, host=host, request=request, options=options, policy=policy_from(settings)
                )  # fmt: skip
            except InputError as error:
                code = code or error.exit_code
                _complain(file, error)
                continue
            _show(made, as_json=as_json, blank_before=number > 0)
    return int(code)


def quoted(
    items: Sequence[Item], *, host: HostFacts, request: Request, policy: RunPolicy, as_json: bool, first_looked_at: bool
) -> tuple[Item, ...]:
    """Quote every input, print that, and return the items with what was said; of an input that cannot be, nothing.

    ``first_looked_at`` says that the first job will be handed a look.
    """
    out = []
    with temporary_folder("quote-") as folder:
        for number, item in enumerate(items):
            place = folder / str(number)
            place.mkdir()
            predicted = None
            options = QuoteOptions(codecs=(request.codec,), looked_at=first_looked_at and number == 0)
            with contextlib.suppress(InputError):  # the job will say it
                made = quote_file(item.source, place, host=host, request=request, options=options, policy=policy)
                _show(made, as_json=as_json)
                predicted = made.of_job(request.codec, may_use_gpu=request.hardware != "off")
            out.append(msgspec.structs.replace(item, predicted=predicted))
    if not as_json:
        click.echo("")
    return tuple(out)


def _show(quote: Quote, *, as_json: bool, blank_before: bool = False) -> None:
    if as_json:
        sys.stdout.write(to_json(quote).decode() + "\n")
        sys.stdout.flush()
    else:
        print_quote(quote, blank_before=blank_before)


def codecs_of(text: str | None, asked: Codec) -> tuple[Codec, ...]:
    """Return the codecs that ``--encoders`` names; without it the one asked for. Raises :class:`UsageError`."""
    if text is None:
        return (asked,)
    names = [name.strip().lower() for name in text.split(",") if name.strip()]
    wanted = tuple(codec for codec in CODECS if codec in names or names == ["all"])
    if not names or (names != ["all"] and set(names) - set(CODECS)):
        raise UsageError(f"--encoders cannot be {text!r}.", hint=f"accepted: {', '.join(CODECS)}, or all")
    return wanted


def _seconds(text: str | None) -> float:
    try:
        value = BUDGET_S if text is None else float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= _MOST_BUDGET_S:
        raise UsageError(f"--budget cannot be {text!r}.", hint=f"accepted: 0 to {_MOST_BUDGET_S:g} seconds")
    return value


def print_quote(quote: Quote, *, blank_before: bool = False) -> None:
    """Print a quote for a person."""
    length = human_time(quote.duration_s) if quote.duration_s is not None else "unknown length"
    if blank_before:
        click.echo("")
    click.echo(plain_text(quote.input))
    click.echo(f"  {human_bytes(quote.size_bytes)}, {length}, {plain_text(quote.video or 'no video')}")
    shown = [offer for offer in quote.offers if offer.predicted is not None]
    if shown:
        head = f"{'with':<11} {'size':<17} {'saved':>5}  {'VMAF':<10} {'time':<19} {'about':>9}"
        click.echo(click.style(f"  {head}", dim=True))
    for offer in shown:
        click.echo(f"  {_row(offer)}".rstrip())
    for offer in quote.offers:
        for line in _notes(offer):
            click.echo(f"  {line}")
    if shown:
        said = f"{quote.share:.0%} of jobs are to lie in the intervals. Taken for granted: {quote.assumes}. "
    else:
        said = ""
    for line in textwrap.wrap(f"{said}The quote took {human_time(quote.took_s)}.", 76):
        click.echo(click.style(f"  {line}", dim=True))


def _row(offer: Offer) -> str:
    predicted = offer.predicted
    assert predicted is not None  # noqa: S101 - only such are shown
    name = offer.encoder or {"skipped": "kept", "copied": "remux"}.get(offer.outcome, offer.outcome)
    saved = "" if offer.saved_share is None or predicted.size_bytes is None else f"{offer.saved_share.likely:.0%}"
    size = "" if predicted.size_bytes is None else _bytes(predicted.size_bytes)
    vmaf = "-" if predicted.vmaf is None else _score(predicted.vmaf)
    wall = "-" if predicted.wall_s is None else _time(predicted.wall_s)
    usd = "-" if predicted.usd is None else f"${predicted.usd.likely:.5f}"
    return f"{name:<11} {size:<17} {saved:>5}  {vmaf:<10} {wall:<19} {usd:>9}"


def _bytes(size: Interval) -> str:
    likely, low, high = (human_bytes(round(v)) for v in (size.likely, size.low, size.high))
    if low == high:
        return likely
    same = low.split()[-1] == high.split()[-1] == likely.split()[-1]
    return (
        f"{likely} {low.split()[0]}-{high.split()[0]}"
        if same
        else f"{likely} {low.replace(' ', '')}-{high.replace(' ', '')}"
    )


def _score(vmaf: Interval) -> str:
    off = max(vmaf.high - vmaf.likely, vmaf.likely - vmaf.low)
    return f"{vmaf.likely:.1f}" if off < 0.05 else f"{vmaf.likely:.1f} ±{off:.1f}"


def _time(wall: Interval) -> str:
    likely, low, high = (human_time(v) for v in (wall.likely, wall.low, wall.high))
    return f"{likely} {low.removesuffix(' s')}-{high.removesuffix(' s')}"


def _notes(offer: Offer) -> list[str]:
    label = f"{offer.encoder or offer.codec}: "
    notes = [offer.why] if offer.worth != "yes" or offer.outcome != "encoded" else []
    notes += [r.text for r in offer.reasons if r.code in ("vmaf_unmeasured", "not_sampled")]
    lines: list[str] = []
    for note in notes:
        lines += textwrap.wrap(plain_text(label + note), 76, subsequent_indent="  ", break_on_hyphens=False)
    return lines


def _complain(file: str, error: ReelpressError) -> None:
    first, *rest = (plain_text(line) for line in error.lines())
    click.echo(f"reelpress: {plain_text(Path(file).name)}: {first}", err=True)
    for line in rest:
        click.echo(f"  {line}", err=True)
