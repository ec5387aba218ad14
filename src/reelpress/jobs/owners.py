"""Whose objects lie where in the store, by the ids of users."""

from __future__ import annotations

import hashlib
import re

# Before the ids of users who sign in with Firebase; no user of a key is called so.
FIREBASE = "firebase:"
_PLAIN = re.compile(r"[A-Za-z0-9_-]{1,128}")
_LONGEST = 230  # a folder's name may have 240 bytes (storage/keys.py)


def user_prefix(user_id: str) -> str:
    """Return the prefix of a user's objects; whatever a user is called, no two share one."""
    if user_id.startswith(FIREBASE):
        uid = user_id.removeprefix(FIREBASE)
        return f"firebase/{uid}" if _PLAIN.fullmatch(uid) else f"firebase/.{hashlib.sha256(uid.encode()).hexdigest()}"
    if _PLAIN.fullmatch(user_id) and len(user_id) <= 64:
        return f"users/{user_id}"
    plain = f"users/.{user_id.encode().hex()}"
    return plain if len(plain) <= _LONGEST else f"users/.sha256-{hashlib.sha256(user_id.encode()).hexdigest()}"


def owner_of(key: str) -> tuple[str, str] | None:
    """Return whose an object is, and its key beyond that user's prefix; ``None`` where it is nobody's.

    The reverse of :func:`user_prefix`, for names that stand there as they are.
    """
    kind, _, rest = key.partition("/")
    name, _, beyond = rest.partition("/")
    user_id = {"users": name, "firebase": f"{FIREBASE}{name}"}.get(kind, "")
    if not beyond or not user_id or user_prefix(user_id) != f"{kind}/{name}":
        return None
    return user_id, beyond
