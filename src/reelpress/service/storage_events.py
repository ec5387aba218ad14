"""What Google says of a new object in a bucket: CloudEvents of Eventarc's, and notifications pushed by Pub/Sub; pure.

Three forms arrive at one address: a CloudEvent whose attributes are headers (Eventarc), one that is all body, and
Pub/Sub's envelope around a notification of Cloud Storage's. All name bucket, object and generation, which is another
number for every content a name ever had.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

import msgspec
from cloudevents.core.bindings.http import HTTPMessage, from_http_event
from cloudevents.core.exceptions import CloudEventValidationError
from msgspec import Meta

from reelpress.errors import UsageError
from reelpress.facts.values import Value
from reelpress.jobs.owners import owner_of
from reelpress.service.problems import RequestRefused
from reelpress.storage.keys import check_key

FINALIZED = "google.cloud.storage.object.v1.finalized"
PUBLISHED = "google.cloud.pubsub.topic.v1.messagePublished"
_NOTIFIED = "OBJECT_FINALIZE"
_STRUCTURED = "application/cloudevents+json"
# What the library raises for bodies that are no event, beside its own error.
_UNREADABLE = (CloudEventValidationError, ValueError, TypeError, AttributeError, OverflowError, RecursionError)
_T = TypeVar("_T")
_Name = Annotated[str, Meta(min_length=1, max_length=1024)]
_Generation = Annotated[str, Meta(pattern="^[0-9]{1,20}$")]


class NewObject(Value, frozen=True, kw_only=True):
    """An object whose content is complete; ``generation`` tells it from others that had the name before."""

    bucket: _Name
    name: _Name
    generation: _Generation


class Ignored(Value, frozen=True, kw_only=True):
    """An event that is right and asks nothing of this service; ``reason`` is plain ASCII."""

    reason: str


class NewInput(Value, frozen=True, kw_only=True):
    """An object that is to become a job of its owner's; ``key`` is its key in the store."""

    user_id: str
    key: str


class _Attributes(msgspec.Struct, rename="camel"):
    event_type: str
    bucket_id: str
    object_id: str
    object_generation: str


class _Message(msgspec.Struct):
    attributes: dict[str, str] = {}
    data: str | None = None


class _Envelope(msgspec.Struct):
    message: _Message


def read_event(headers: Mapping[str, str], body: bytes) -> NewObject | Ignored:
    """Return the object that an event tells of. ``headers`` have names in lower case.

    Raises :class:`RequestRefused` 400 for what is no event in any of the three forms.
    """
    is_event = any(name.startswith("ce-") for name in headers)
    if not is_event and not headers.get("content-type", "").lower().startswith(_STRUCTURED):
        return _of_push(_decoded(body))
    kept = {name: value for name, value in headers.items() if name.startswith("ce-") or name == "content-type"}
    try:
        event = from_http_event(HTTPMessage(headers=kept, body=body))
        kind, data = event.get_type(), event.get_data()
    except _UNREADABLE as error:
        raise _malformed(f"no CloudEvent: {type(error).__name__}") from None
    if kind == PUBLISHED:
        return _of_push(data)
    if kind != FINALIZED:
        return Ignored(reason=f"not an event of a new object: {kind[:100]!a}")
    return _converted(data, NewObject)


def input_of_event(new: NewObject, *, store_url: str, folder: str, endings: tuple[str, ...]) -> NewInput | Ignored:
    """Return the input that a new object is, by the rules of the settings.

    It lies in the bucket of ``store_url`` under its prefix, in ``folder`` below its owner's own, and its name ends as
    a video's. What this service writes lies in other folders.
    """
    place = f"gs://{new.bucket}/{new.name}"
    if not place.startswith(f"{store_url}/"):
        return Ignored(reason="it is not in the store of this service")
    key = place.removeprefix(f"{store_url}/")
    try:
        check_key(key)
    except UsageError:
        return Ignored(reason="its name is not accepted as a key")
    owner = owner_of(key)
    if owner is None:
        return Ignored(reason="it is in no user's folder")
    user_id, beyond = owner
    if not beyond.startswith(f"{folder}/"):
        return Ignored(reason="it is not in the folder of inputs")
    if not beyond.lower().endswith(endings):
        return Ignored(reason="its name does not end as a video's")
    return NewInput(user_id=user_id, key=key)


def _of_push(data: object) -> NewObject | Ignored:
    message = _converted(data, _Envelope).message
    if message.data is not None:
        try:
            base64.b64decode(message.data, validate=True)
        except ValueError:
            raise _malformed("its data is not in base64") from None
    told = _converted(message.attributes, _Attributes)
    if told.event_type != _NOTIFIED:
        return Ignored(reason=f"not an event of a new object: {told.event_type[:100]!a}")
    named = {"bucket": told.bucket_id, "name": told.object_id, "generation": told.object_generation}
    return _converted(named, NewObject)


def _decoded(body: bytes) -> Any:  # noqa: ANN401 - whatever JSON holds
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise _malformed("no JSON") from None


def _converted(data: object, kind: type[_T]) -> _T:
    try:
        return msgspec.convert(data, kind)
    except msgspec.ValidationError as error:
        raise _malformed(str(error)[:200]) from None


def _malformed(evidence: str) -> RequestRefused:
    return RequestRefused(
        400, "malformed_event", "This is no event of Cloud Storage's.",
        evidence=evidence.encode("ascii", "replace").decode(),
        hint="Accepted are CloudEvents of Eventarc's and wrapped messages of Pub/Sub's.",
    )  # fmt: skip
