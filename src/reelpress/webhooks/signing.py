"""Signatures as Standard Webhooks describes them, so that receivers verify with a library they find anywhere."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import secrets

from standardwebhooks import Webhook

from reelpress.errors import UsageError

_PREFIX = "whsec_"
_SECRET_BYTES = 32
_LEAST_BYTES, _MOST_BYTES = 24, 64  # of the standard


def new_secret() -> str:
    """Return a new secret to sign with: ``whsec_`` and base64."""
    return _PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def check_secret(secret: str) -> str:
    """Return a secret that can be signed with. Raises :class:`UsageError`, without the secret, for any other."""
    try:
        size = len(base64.b64decode(secret.removeprefix(_PREFIX), validate=True))
    except (binascii.Error, ValueError):
        size = 0
    if not secret.startswith(_PREFIX) or not _LEAST_BYTES <= size <= _MOST_BYTES:
        raise UsageError(
            "This secret for webhooks is not accepted.",
            hint=f"{_PREFIX} and {_LEAST_BYTES} to {_MOST_BYTES} random bytes in base64",
        )
    return secret


def signed_headers(secret: str, event_id: str, payload: str, now: float) -> dict[str, str]:
    """Return the three headers for a payload sent at ``now``, in epoch seconds. Raises :class:`UsageError`."""
    signature = Webhook(check_secret(secret)).sign(event_id, dt.datetime.fromtimestamp(int(now), dt.UTC), payload)
    return {"webhook-id": event_id, "webhook-timestamp": str(int(now)), "webhook-signature": signature}
