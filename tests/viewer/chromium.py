"""A headless Chromium, driven over a pipe by the DevTools protocol; it can reach no other computer.

The protocol is a few JSON messages, so that the tests need no driver beside the browser itself.
"""

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

EXECUTABLE = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
_SWITCHES = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"),
    *("--remote-debugging-pipe", "--disable-extensions", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--force-device-scale-factor=1", "--hide-scrollbars"),
    # Every name but that of this machine is unknown to it.
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE localhost , EXCLUDE 127.0.0.1",
)
_SECONDS = 30
_KEYS = {"Enter": (13, "\r"), " ": (32, " "), "Tab": (9, ""), "Escape": (27, "")}


class Browser:
    """A browser of its own, with an empty profile."""

    def __init__(self):
        self._profile = tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True)
        to_read, self._write = (fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in os.pipe())
        self._read, to_write = (fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in os.pipe())

        def hand_over():
            # The browser reads what descriptor 3 brings and answers on 4.
            os.dup2(to_read, 3)
            os.dup2(to_write, 4)

        self._process = subprocess.Popen(
            [EXECUTABLE, *_SWITCHES, f"--user-data-dir={self._profile.name}", "about:blank"],
            preexec_fn=hand_over,
            pass_fds=(3, 4),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_read)
        os.close(to_write)
        self._count, self._buffer, self.events = 0, b"", []

    def send(self, method, session=None, **parameters):
        self._count += 1
        message = {"id": self._count, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        number = self._count
        while True:
            reply = self._receive(_SECONDS)
            if reply.get("id") == number:
                assert "error" not in reply, f"{method}: {reply['error']}"
                return reply["result"]

    def _receive(self, seconds):
        end = time.monotonic() + seconds
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._read], [], [], max(0.0, end - time.monotonic()))
            assert ready, f"Chromium has not answered in {seconds} seconds"
            data = os.read(self._read, 1 << 20)
            assert data, "Chromium has gone"
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\0")
        message = json.loads(line)
        if "method" in message:
            self.events.append(message)
        return message

    def page(self, width=1280, height=800, **options):
        return Page(self, width, height, **options)

    def close(self):
        try:
            self.send("Browser.close")
            self._process.wait(timeout=10)
        except (AssertionError, OSError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        os.close(self._read)
        os.close(self._write)
        self._profile.cleanup()


class Page:
    """A tab; `requests` are the addresses that it asked for, `errors` what its console complained of."""

    def __init__(self, browser, width, height, mobile=False, dark=False):
        self._browser = browser
        self._target = browser.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = browser.send("Target.attachToTarget", targetId=self._target, flatten=True)[
            "sessionId"
        ]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=mobile,
        )
        theme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[theme])

    def send(self, method, **parameters):
        return self._browser.send(method, session=self._session, **parameters)

    def _seen(self, method):
        mine = (event for event in self._browser.events if event.get("sessionId") == self._session)
        return [event["params"] for event in mine if event["method"] == method]

    @property
    def requests(self):
        return [event["request"]["url"] for event in self._seen("Network.requestWillBeSent")]

    @property
    def errors(self):
        thrown = [event["exceptionDetails"] for event in self._seen("Runtime.exceptionThrown")]
        logged = [event["entry"] for event in self._seen("Log.entryAdded")]
        said = [
            event for event in self._seen("Runtime.consoleAPICalled") if event["type"] in ("error", "warning")
        ]
        return [*thrown, *(entry for entry in logged if entry["level"] in ("error", "warning")), *said]

    def goto(self, url, ready="#main #list"):
        self.send("Page.navigate", url=url)
        self.wait(f"document.querySelector({json.dumps(ready)}) !== null")

    def evaluate(self, expression):
        done = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")

    def wait(self, expression, seconds=_SECONDS):
        """Wait until an expression is true."""
        end = time.monotonic() + seconds
        while not self.evaluate(f"Boolean({expression})"):
            assert time.monotonic() < end, f"not within {seconds} seconds: {expression}\n{self.text()[:500]}"
            time.sleep(0.02)

    def text(self, selector="body"):
        return self.evaluate(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''")

    def count(self, selector):
        return self.evaluate(f"document.querySelectorAll({json.dumps(selector)}).length")

    def click(self, selector):
        box = self.evaluate(
            f"(() => {{ const it = document.querySelector({json.dumps(selector)});"
            " it.scrollIntoView({block: 'center'}); const box = it.getBoundingClientRect();"
            " return [box.x + box.width / 2, box.y + box.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, x=box[0], y=box[1], button="left", clickCount=1)

    def press(self, *keys, modifiers=0):
        for key in keys:
            code, text = _KEYS.get(key, (0, key if len(key) == 1 else ""))
            pressed = {"key": key, "windowsVirtualKeyCode": code, "modifiers": modifiers}
            self.send("Input.dispatchKeyEvent", type="keyDown", text=text, **pressed)
            self.send("Input.dispatchKeyEvent", type="keyUp", **pressed)

    def type(self, text):
        self.send("Input.insertText", text=text)

    def choose(self, selector, value):
        self.evaluate(
            f"(() => {{ const it = document.querySelector({json.dumps(selector)});"
            f" it.value = {json.dumps(value)};"
            " it.dispatchEvent(new Event('change', {bubbles: true})); })()"
        )

    def screenshot(self, path):
        data = self.send("Page.captureScreenshot", format="png")["data"]
        with open(path, "wb") as file:
            file.write(base64.b64decode(data))

    def close(self):
        self._browser.send("Target.closeTarget", targetId=self._target)
