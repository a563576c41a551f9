"""A headless Chromium, driven over a pipe by the DevTools protocol; it can reach no other computer.

The protocol is a few JSON messages, so that benchmarks and tests need no driver beside the browser itself.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

EXECUTABLE = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
"""The browser of this machine; None if there is none."""
NEEDED = "needs chromium or google-chrome: apt-get install --no-install-recommends chromium"
_SWITCHES = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"),
    *("--remote-debugging-pipe", "--disable-extensions", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--force-device-scale-factor=1", "--hide-scrollbars"),
    # Every name but that of this machine is unknown to it.
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE localhost , EXCLUDE 127.0.0.1",
)
# The browser reads what descriptor 3 brings and answers on 4.
_HAND_OVER = """\
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.dup2(int(sys.argv[2]), 4)
os.execv(sys.argv[3], sys.argv[3:])
"""
_SECONDS = 120.0
_KEYS = {"Enter": (13, "\r"), " ": (32, " "), "Tab": (9, ""), "Escape": (27, "")}


class Browser:
    """A browser of its own, with an empty profile.

    Raises:
        FileNotFoundError: If there is none on this machine.
    """

    def __init__(self) -> None:
        if EXECUTABLE is None:
            raise FileNotFoundError(NEEDED)
        self._profile = tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True)
        (to_read, self._write), (self._read, to_write) = _high_pipe(), _high_pipe()
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-c", _HAND_OVER, str(to_read), str(to_write)),
                *(EXECUTABLE, *_SWITCHES, f"--user-data-dir={self._profile.name}", "about:blank"),
            ],
            pass_fds=(to_read, to_write),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_read)
        os.close(to_write)
        self._count, self._buffer = 0, b""
        self.events: list[dict[str, Any]] = []

    def send(self, method: str, session: str | None = None, **parameters: Any) -> Any:
        """Call a method of the protocol and return its result.

        Raises:
            RuntimeError: If the browser refuses, or does not answer in time.
        """
        self._count += 1
        message: dict[str, Any] = {"id": self._count, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        number = self._count
        while (reply := self._receive()).get("id") != number:
            continue
        if "error" in reply:
            raise RuntimeError(f"{method}: {reply['error']}")
        return reply["result"]

    def _receive(self) -> dict[str, Any]:
        end = time.monotonic() + _SECONDS
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._read], [], [], max(0.0, end - time.monotonic()))
            data = os.read(self._read, 1 << 20) if ready else b""
            if not data:
                what = "has gone" if ready else f"has not answered in {_SECONDS:g} seconds"
                raise RuntimeError(f"Chromium {what}")
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        if "method" in message:
            self.events.append(message)
        return message

    def page(self, width: int = 1280, height: int = 800, *, mobile: bool = False, dark: bool = False) -> Page:
        """Open a tab of this size in CSS pixels."""
        return Page(self, width, height, mobile, dark)

    def close(self) -> None:
        """End the browser and remove its profile."""
        try:
            self.send("Browser.close")
            self._process.wait(timeout=10)
        except (RuntimeError, OSError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        os.close(self._read)
        os.close(self._write)
        self._profile.cleanup()


def _high_pipe() -> tuple[int, int]:
    """A pipe whose ends are not among the descriptors that the browser wants."""
    ends = os.pipe()
    high = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends]
    for end in ends:
        os.close(end)
    return high[0], high[1]


class Page:
    """A tab, made by `Browser.page`."""

    def __init__(self, browser: Browser, width: int, height: int, mobile: bool, dark: bool) -> None:
        self._browser = browser
        self._target = browser.send("Target.createTarget", url="about:blank")["targetId"]
        attached = browser.send("Target.attachToTarget", targetId=self._target, flatten=True)
        self._session: str = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile}
        self.send("Emulation.setDeviceMetricsOverride", **size)
        theme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[theme])

    def send(self, method: str, **parameters: Any) -> Any:
        """Call a method of the protocol for this tab."""
        return self._browser.send(method, session=self._session, **parameters)

    def _seen(self, method: str) -> list[Mapping[str, Any]]:
        mine = [event for event in self._browser.events if event.get("sessionId") == self._session]
        return [event["params"] for event in mine if event["method"] == method]

    @property
    def requests(self) -> list[str]:
        """Addresses that the tab has asked for."""
        return [event["request"]["url"] for event in self._seen("Network.requestWillBeSent")]

    @property
    def errors(self) -> list[Mapping[str, Any]]:
        """What its console has complained of: exceptions, errors and warnings."""
        thrown = [event["exceptionDetails"] for event in self._seen("Runtime.exceptionThrown")]
        logged = [event["entry"] for event in self._seen("Log.entryAdded")]
        said = [
            event for event in self._seen("Runtime.consoleAPICalled") if event["type"] in ("error", "warning")
        ]
        return [*thrown, *(entry for entry in logged if entry["level"] in ("error", "warning")), *said]

    def goto(self, url: str, ready: str = "#main #list") -> None:
        """Open an address, and wait until an element of this selector is there."""
        self.send("Page.navigate", url=url)
        self.wait(f"document.querySelector({json.dumps(ready)}) !== null")

    def evaluate(self, expression: str) -> Any:
        """Return the value of an expression, or of its promise.

        Raises:
            RuntimeError: If it throws.
        """
        done = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in done:
            raise RuntimeError(str(done["exceptionDetails"]))
        return done["result"].get("value")

    def wait(self, expression: str, seconds: float = _SECONDS) -> None:
        """Wait until an expression is true.

        Raises:
            RuntimeError: If it is not in time.
        """
        end = time.monotonic() + seconds
        while not self.evaluate(f"Boolean({expression})"):
            if time.monotonic() > end:
                raise RuntimeError(f"not within {seconds:g} seconds: {expression}\n{self.text()[:500]}")
            time.sleep(0.02)

    def text(self, selector: str = "body") -> str:
        """The text of an element as it is shown; empty if there is none."""
        return str(self.evaluate(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''"))

    def count(self, selector: str) -> int:
        """The number of elements."""
        return int(self.evaluate(f"document.querySelectorAll({json.dumps(selector)}).length"))

    def click(self, selector: str) -> None:
        """Click the middle of an element."""
        x, y = self.evaluate(
            f"(() => {{ const it = document.querySelector({json.dumps(selector)});"
            " it.scrollIntoView({block: 'center'}); const box = it.getBoundingClientRect();"
            " return [box.x + box.width / 2, box.y + box.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def press(self, *keys: str) -> None:
        """Press keys one after the other, by their names in JavaScript."""
        for key in keys:
            code, text = _KEYS.get(key, (0, key if len(key) == 1 else ""))
            pressed = {"key": key, "windowsVirtualKeyCode": code}
            self.send("Input.dispatchKeyEvent", type="keyDown", text=text, **pressed)
            self.send("Input.dispatchKeyEvent", type="keyUp", **pressed)

    def type(self, text: str) -> None:
        """Type a text into what has the focus."""
        self.send("Input.insertText", text=text)

    def choose(self, selector: str, value: str) -> None:
        """Choose an option of a list."""
        self.evaluate(
            f"(() => {{ const it = document.querySelector({json.dumps(selector)});"
            f" it.value = {json.dumps(value)};"
            " it.dispatchEvent(new Event('change', {bubbles: true})); })()"
        )

    def screenshot(self, path: str | os.PathLike[str]) -> None:
        """Write what is seen as a PNG file."""
        Path(path).write_bytes(base64.b64decode(self.send("Page.captureScreenshot", format="png")["data"]))

    def close(self) -> None:
        """Close the tab."""
        self._browser.send("Target.closeTarget", targetId=self._target)
