"""``python -m reelpress`` to its end, as a fork of a process that has imported it: the program without Python's start.

Imports are most of what a short command takes, and tests give hundreds of them. What depends on the start itself (what
is imported when, streams that are closed, signals on the way) is tested on whole starts.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import io
import os
import pickle
import selectors
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

import reelpress

SOURCE = str(Path(reelpress.__file__).parents[1])
_MAX_ORDER_BYTES = 128 * 1024
# What the interpreter, the loader and the C library read once, at the start.
_READ_AT_START = ("PYTHON", "LC_", "LANG", "LD_", "MALLOC_", "GLIBC_", "OPENSSL_", "TZ")
_IMPORTED = (
    "reelpress.__main__", "reelpress.cli.compress", "reelpress.cli.early", "reelpress.cli.jobs",
    "reelpress.cli.quote", "reelpress.probe.nursery_child", "rich.progress",
)  # fmt: skip
_nurseries: dict[tuple[tuple[str, str], ...], tuple[socket.socket, subprocess.Popen[bytes]]] = {}


def run(
    arguments: Sequence[str | bytes | os.PathLike[str]], *, cwd: Path, env: Mapping[str, str], patience_s: float
) -> subprocess.CompletedProcess[bytes]:
    """Run ``reelpress`` with nothing on its stdin to its end, and return what it said.

    Raises ``subprocess.TimeoutExpired`` once it says nothing for so long.
    """
    command = [sys.executable, "-m", "reelpress", *arguments]
    order = pickle.dumps((list(map(os.fsencode, arguments)), os.fspath(cwd), dict(env)))
    starts = _read_at_start(env)
    if starts.get("PYTHONPATH") != SOURCE or len(order) > _MAX_ORDER_BYTES:
        return subprocess.run(
            command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True, timeout=patience_s, check=False
        )
    with contextlib.ExitStack() as held:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        held.callback(ours.close)
        pipes = [os.pipe(), os.pipe()]
        for read, _ in pipes:
            held.callback(os.close, read)
        orders = _orders_to(starts)
        try:
            socket.send_fds(orders, [order], [theirs.fileno(), *(write for _, write in pipes)])
        finally:
            theirs.close()
            for _, write in pipes:
                os.close(write)
        pid = pickle.loads(ours.recv(64))
        said = {read: b"" for read, _ in pipes}
        with selectors.DefaultSelector() as selector:
            for read in said:
                selector.register(read, selectors.EVENT_READ)
            while selector.get_map():
                ready = selector.select(patience_s)
                if not ready:
                    os.kill(pid, signal.SIGKILL)
                    raise subprocess.TimeoutExpired(command, patience_s)
                for key, _ in ready:
                    chunk = os.read(key.fd, 1 << 16)
                    said[key.fd] += chunk
                    if not chunk:
                        selector.unregister(key.fd)
        returncode = pickle.loads(ours.recv(64))
    stdout, stderr = said.values()
    return subprocess.CompletedProcess(command, returncode, stdout, stderr)


def run_text(
    arguments: Sequence[str | bytes | os.PathLike[str]], *, cwd: Path, env: Mapping[str, str], patience_s: float
) -> subprocess.CompletedProcess[str]:
    """Do as :func:`run` does, and return text."""
    done = run(arguments, cwd=cwd, env=env, patience_s=patience_s)
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def _read_at_start(env: Mapping[str, str]) -> dict[str, str]:
    return {name: text for name, text in env.items() if name.startswith(_READ_AT_START)}


def close() -> None:
    """End the processes that programs were forked from."""
    while _nurseries:
        _, (orders, process) = _nurseries.popitem()
        orders.close()
        process.wait()


def _orders_to(starts: Mapping[str, str]) -> socket.socket:
    """Return the way to the process that programs with such an environment are forked from; it ends with this one."""
    key = tuple(sorted(starts.items()))
    if key not in _nurseries:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        env = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ} | dict(starts)
        with theirs:
            process = subprocess.Popen([sys.executable, __file__], stdin=theirs, env=env, start_new_session=True)
        _nurseries[key] = ours, process
    return _nurseries[key][0]


def _serve(orders: socket.socket) -> None:
    for name in _IMPORTED:
        importlib.import_module(name)
    if threading.active_count() != 1:
        raise SystemExit("an import started a thread")
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those between
    while True:
        message, descriptors, _, _ = socket.recv_fds(orders, _MAX_ORDER_BYTES, 3)
        if not message:
            return
        if os.fork() == 0:
            orders.close()
            _stand_between(message, *descriptors)
        for descriptor in descriptors:
            os.close(descriptor)


def _stand_between(message: bytes, line: int, stdout: int, stderr: int) -> NoReturn:
    """Start the program and tell how it ended, while others may be asked for."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pid = os.fork()
    if pid == 0:
        os.close(line)
        _be(message, stdout, stderr)
    os.close(stdout)
    os.close(stderr)
    with socket.socket(fileno=line) as told:
        told.send(pickle.dumps(pid))
        _, status = os.waitpid(pid, 0)
        with contextlib.suppress(OSError):  # it took too long for whoever asked
            told.send(pickle.dumps(os.waitstatus_to_exitcode(status)))
    os._exit(0)


def _be(message: bytes, stdout: int, stderr: int) -> NoReturn:
    arguments, cwd, env = pickle.loads(message)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for place, descriptor in enumerate((nothing, stdout, stderr)):
        os.dup2(descriptor, place)
        os.close(descriptor)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    sys.path[0] = cwd  # as -m has it
    sys.argv = [str(Path(SOURCE, "reelpress", "__main__.py")), *map(os.fsdecode, arguments)]
    for name, number in (("stdin", 0), ("stdout", 1), ("stderr", 2)):
        before = getattr(sys, name)
        raw = io.FileIO(number, "r" if number == 0 else "w", closefd=False)
        buffer = io.BufferedReader(raw) if number == 0 else io.BufferedWriter(raw)
        stream = io.TextIOWrapper(buffer, before.encoding, before.errors, line_buffering=number == 2)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    code = 0
    try:
        importlib.import_module("reelpress.__main__").main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:  # noqa: BLE001 - as the interpreter does
        traceback.print_exc()
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]  # what the interpreter does at its end
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            code = code or 120
    os._exit(code & 0xFF)


if __name__ == "__main__":
    _serve(socket.socket(fileno=os.dup(0)))
