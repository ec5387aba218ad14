"""WebKit as Debian has it, MiniBrowser of WebKitGTK, driven by WebDriver over HTTP on a display of its own."""

from __future__ import annotations

import base64
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

import httpx
import pytest

DRIVER = shutil.which("WebKitWebDriver")
BROWSER = next((str(path) for path in Path("/usr/lib").glob("*/webkit2gtk-4.1/MiniBrowser")), "MiniBrowser")
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the specification's name for a reference to one
KEYS = {"ArrowRight": "\ue014", "ArrowLeft": "\ue012", "Enter": "\ue007", "Tab": "\ue004"}
PATIENCE_S = 20
ASYNC = "const done = arguments[arguments.length - 1]; ({})().then(done, (error) => done({{ failed: String(error) }}))"


class Webkit:
    """A window with one page."""

    def __init__(self, session: httpx.Client) -> None:
        self._session = session

    @classmethod
    @contextmanager
    def started(cls) -> Iterator[Self]:
        """Start a display where there is none, the driver, and the browser."""
        assert DRIVER is not None
        with ExitStack() as stack:
            environment = dict(os.environ)
            if "DISPLAY" not in environment:
                environment["DISPLAY"] = f":{_display(stack)}"
            port = _free_port()
            _start(stack, [DRIVER, f"--port={port}"], environment)
            client = stack.enter_context(httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False))
            wanted = {"webkitgtk:browserOptions": {"binary": BROWSER, "args": ["--automation"]}}
            session = _post_until_up(client, "/session", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]
            client.base_url = client.base_url.join(f"/session/{session}/")
            stack.callback(client.delete, "")
            yield cls(client)

    def _post(self, path: str, **body: Any) -> Any:
        answer = self._session.post(path, json=body).json()["value"]
        assert not (isinstance(answer, dict) and "error" in answer), answer
        return answer

    def open(self, url: str, width: int = 1280, height: int = 900) -> None:
        self._post("window/rect", width=width, height=height)
        self._post("url", url=url)

    def click(self, selector: str) -> None:
        """Click as a pointer does, once what is to be clicked is there."""
        self.until(f'document.querySelector("{selector}")?.checkVisibility()')
        found = self._post("element", using="css selector", value=selector)
        self._post(f"element/{found[ELEMENT]}/click")

    def press(self, *keys: str) -> None:
        strokes = [{"type": kind, "value": KEYS.get(key, key)} for key in keys for kind in ("keyDown", "keyUp")]
        self._post("actions", actions=[{"type": "key", "id": "keyboard", "actions": strokes}])

    def evaluate(self, function: str) -> Any:
        """Return what an asynchronous function of the page returns."""
        found = self._post("execute/async", script=ASYNC.format(function), args=[])
        assert not (isinstance(found, dict) and "failed" in found), found
        return found

    def until(self, expression: str) -> None:
        """Wait for an expression to become true."""
        late = time.monotonic() + PATIENCE_S
        while not self.evaluate(f"async () => Boolean({expression})"):
            if time.monotonic() > late:
                pytest.fail(f"it did not become true: {expression}")
            time.sleep(0.05)

    def shows(self, selector: str, words: str) -> None:
        """Wait for an element with these words."""
        self.until(f"document.querySelector('{selector}')?.textContent.includes('{words}')")

    def screenshot(self, file: Path) -> None:
        file.write_bytes(base64.b64decode(self._session.get("screenshot").json()["value"]))


def _display(stack: ExitStack) -> int:
    """Start a display and return the number that it chose."""
    read, write = os.pipe()
    command = ["Xvfb", "-displayfd", str(write), "-screen", "0", "1400x1000x24", "-nolisten", "tcp"]
    _start(stack, command, dict(os.environ), pass_fds=(write,))
    os.close(write)
    with os.fdopen(read) as said:
        return int(said.readline())


def _start(stack: ExitStack, command: list[str], environment: dict[str, str], **more: Any) -> None:
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, env=environment, stdin=quiet, stdout=quiet, stderr=quiet, **more)
    stack.callback(process.wait)
    stack.callback(process.terminate)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _post_until_up(client: httpx.Client, path: str, body: Any) -> dict[str, Any]:
    late = time.monotonic() + PATIENCE_S
    while True:
        try:
            answer = client.post(path, json=body).json()["value"]
        except httpx.ConnectError:
            if time.monotonic() > late:
                raise
            time.sleep(0.05)
            continue
        assert "error" not in answer, answer
        return dict(answer)
