"""Values out of JSON, from many threads."""

from __future__ import annotations

import subprocess
import sys

from reelpress.facts.values import from_json, to_json

PROGRAM = """
from __future__ import annotations
import threading
from reelpress.facts.values import Value, from_json, from_plain

learning, met = threading.Event(), threading.Event()

def slowly():
    learning.set()
    met.wait(1)  # the other thread is to meet the type while this one learns it
    return int

class Inner(Value, frozen=True, kw_only=True):
    number: slowly()

class Outer(Value, frozen=True, kw_only=True):
    name: str
    inner: Inner

def read(how, what):
    assert how(what, Outer).inner.number == 2

first = threading.Thread(target=read, args=(from_json, b'{"name":"a","inner":{"number":2}}'))
first.start()
learning.wait()
read(from_json, b'{"name":"a","inner":{"number":2}}')
read(from_plain, {"name": "a", "inner": {"number": 2}})
met.set()
first.join()
"""


def test_two_threads_may_meet_a_type_at_once():
    """In a process of its own, since msgspec takes the process with it."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_halves_of_characters_and_bytes_of_names_are_written_as_what_replaces_them():
    name = b"caf\xe9".decode("utf-8", "surrogateescape")
    assert from_json(to_json([name, "half \ud83d", "whole \U0001f3ac"]), list[str]) == [
        "caf\ufffd", "half \ufffd", "whole \U0001f3ac",
    ]  # fmt: skip
