"""From what a caller sent to a job's specification, refusing at once whatever could never be done."""

from __future__ import annotations

import msgspec

from reelpress.errors import UsageError
from reelpress.jobs.encoding import accepted_settings, check_spec, request_of
from reelpress.jobs.house import House
from reelpress.jobs.model import JobInput, JobSpec, QuoteWanted
from reelpress.jobs.owners import owner_of, user_prefix
from reelpress.jobs.quotes import check_quote
from reelpress.jobs.uploads import find_upload
from reelpress.net.addresses import check_url
from reelpress.request import CODECS
from reelpress.service.access import Caller
from reelpress.service.problems import RequestRefused, not_found
from reelpress.service.schemas import InputShape, JobShape, QuoteShape, SettingsShape
from reelpress.settings import Settings
from reelpress.storage.keys import check_key, safe_name


def spec_of(shape: JobShape, caller: Caller, house: House, base: Settings) -> JobSpec:
    """Return what a request asks for, with ``base`` for all that it leaves out.

    Raises :class:`UsageError` and :class:`AddressError` for values that are not accepted, :class:`RequestRefused` for
    what the caller may not.
    """
    wanted = shape.settings
    if shape.webhook is not None:
        check_url(shape.webhook, allow_private=house.settings.allow_private_urls)
    if shape.output_key is not None:
        _check_own(shape.output_key, caller)
        _refuse_feedback(shape.output_key, house)
    if shape.quote is not None:
        with house.database.reading() as connection:
            check_quote(connection, shape.quote, user_id=caller.sees)
    spec = JobSpec(
        input=input_of(shape.input, caller, house), settings=_settings(wanted), hardware=wanted.hardware,
        always_encode=wanted.always_encode, transcribe=wanted.transcribe, output_key=shape.output_key,
        webhook=shape.webhook, reuse=shape.reuse, labels=dict(shape.labels),
        quote=shape.quote,
    )  # fmt: skip
    check_spec(spec, base)
    return spec


def quote_spec_of(shape: QuoteShape, caller: Caller, house: House, base: Settings) -> JobSpec:
    """Return what a request for a quote asks for; errors as :func:`spec_of`."""
    wanted = shape.settings
    spec = JobSpec(
        input=input_of(shape.input, caller, house), settings=_settings(wanted), hardware=wanted.hardware,
        always_encode=wanted.always_encode, transcribe=False, reuse=False,
    )  # fmt: skip
    check_spec(spec, base)
    asked = request_of(spec, base).codec
    codecs = tuple(codec for codec in CODECS if codec in (shape.encoders or (asked,)))
    what = QuoteWanted(codecs=codecs, quick=shape.quick, budget_s=shape.budget_s)
    return msgspec.structs.replace(spec, wants=what)


def _settings(shape: SettingsShape) -> dict[str, str]:
    said = shape.model_dump(exclude_none=True, exclude={"hardware", "always_encode", "transcribe"})
    return accepted_settings({name: _text(value) for name, value in said.items()})


def _text(value: str | float) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def input_of(shape: InputShape, caller: Caller, house: House) -> JobInput:
    """Return where an input is; errors as :func:`spec_of`."""
    kind, value = shape.source()
    name = safe_name(shape.name) if shape.name is not None else None
    if kind == "upload":
        return _upload(value, name, caller, house)
    if kind == "object":
        _check_own(value, caller)
    elif kind == "url":
        check_url(value, allow_private=house.settings.allow_private_urls)
    else:
        value = _path(value, caller, house)
    return JobInput(kind=kind, value=value, name=name, size_bytes=shape.size_bytes, sha256=shape.sha256)


def _check_own(key: str, caller: Caller) -> None:
    check_key(key)
    if caller.sees is not None and not key.startswith(f"{user_prefix(caller.user_id)}/"):
        raise RequestRefused(
            403, "not_yours", "This object is not yours.",
            hint=f"Your keys begin with {user_prefix(caller.user_id)}/",
        )  # fmt: skip


def _refuse_feedback(key: str, house: House) -> None:
    """Refuse an output where a new object becomes a job: it would be made from itself for ever."""
    owner, folder = owner_of(key), house.settings.events_folder
    if owner is not None and owner[1].startswith(f"{folder}/"):
        raise UsageError(
            "Outputs are not put among the inputs.", evidence=ascii(key), hint=f"a key outside of the folder {folder}/"
        )


def _upload(upload_id: str, name: str | None, caller: Caller, house: House) -> JobInput:
    with house.database.reading() as connection:
        found = find_upload(connection, upload_id)
    if found is None or caller.sees not in (None, found.user_id):
        not_found("There is no such upload.")
    if found.completed_at is None:
        raise RequestRefused(
            409, "upload_incomplete", "The upload is not complete.", hint=f"POST /v1/uploads/{upload_id}/complete"
        )
    return JobInput(
        kind="upload", value=found.id, name=name or found.name, size_bytes=found.size_bytes, sha256=found.sha256,
        segment_bytes=found.segment_bytes,
    )  # fmt: skip


def _path(path: str, caller: Caller, house: House) -> str:
    if not caller.may("admin"):
        raise RequestRefused(403, "scope_needed", "Inputs by path need the scope admin.")
    from reelpress.jobs.local_paths import check_path

    try:
        return str(check_path(path, house.settings.local_paths))
    except (OSError, ValueError, RuntimeError):  # links in a circle, names too long, bytes that no name has
        raise UsageError("This path cannot be a file.") from None
