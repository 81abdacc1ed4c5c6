"""Pictures of web pages, by Chromium without a window, over its DevTools protocol.

Protocol: https://chromedevtools.github.io/devtools-protocol/
"""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

from tools.processes import StackError

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
)
START_SECONDS = 30
PAGE_SECONDS = 60
# Animations of the page come to rest.
SETTLE_SECONDS = 2


def find_chromium() -> str:
    """Return the path of Chromium.

    Raises:
        StackError: when there is none.
    """
    for name in NAMES:
        if path := shutil.which(name):
            return path
    raise StackError(
        f"no Chromium on PATH ({', '.join(NAMES)}). On Debian and Ubuntu: apt install chromium fonts-dejavu-core"
    )


class Page:
    """One page of a running browser.

    Args:
        connection: to the browser's DevTools socket.
        width: of the window, in CSS pixels.
        height: of the window, in CSS pixels.
        scale: pixels of the picture per CSS pixel.
    """

    def __init__(self, connection: ClientConnection, width: int, height: int, scale: float) -> None:
        self.connection = connection
        self.session: dict[str, str] = {}
        self.sent = 0
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.session = {"sessionId": session}
        metrics = {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **metrics)
        self.call("Page.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol and return its result.

        Raises:
            StackError: when the browser refuses.
        """
        self.sent += 1
        self.connection.send(json.dumps({"id": self.sent, "method": method, "params": parameters} | self.session))
        while True:
            message = json.loads(self.connection.recv(timeout=PAGE_SECONDS))
            if message.get("id") != self.sent:
                continue  # an event
            if "error" in message:
                raise StackError(f"Chromium refuses {method}: {message['error']['message']}")
            result: dict[str, Any] = message["result"]
            return result

    def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression in the page."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True)["result"]
        return result.get("value")

    def before_each_page(self, script: str) -> None:
        """Run `script` in each page before its own scripts."""
        self.call("Page.addScriptToEvaluateOnNewDocument", source=script)

    def open(self, url: str, ready: str) -> None:
        """Open `url` and wait until the JavaScript expression `ready` is true.

        Raises:
            StackError: when that does not happen in time, with the text of the page.
        """
        self.call("Page.navigate", url=url)
        deadline = time.monotonic() + PAGE_SECONDS
        while not self.evaluate(ready):
            if time.monotonic() > deadline:
                text = self.evaluate("document.body.innerText")
                raise StackError(
                    f"{url} did not show what it should ({ready}) within {PAGE_SECONDS} s. It says: {text}"
                )
            time.sleep(0.5)
        time.sleep(SETTLE_SECONDS)

    def save_picture(self, path: Path) -> None:
        """Save what the window shows as a PNG file."""
        data = self.call("Page.captureScreenshot", format="png")["data"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(data))


@contextmanager
def page(width: int, height: int, scale: float = 1.5) -> Iterator[Page]:
    """Start Chromium with a profile of its own, yield a page, and end it."""
    chromium = find_chromium()
    with tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as profile:
        command = [chromium, *FLAGS, f"--user-data-dir={profile}", f"--window-size={width},{height}", "about:blank"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            with connect(_address(Path(profile), process), max_size=None, proxy=None) as connection:
                yield Page(connection, width, height, scale)
        finally:
            process.terminate()
            process.wait(10)


def _address(profile: Path, process: subprocess.Popen[bytes]) -> str:
    """Return the address of the DevTools socket, which Chromium writes to its profile when it is ready."""
    port_file = profile / "DevToolsActivePort"
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if port_file.exists() and len(lines := port_file.read_text().splitlines()) == 2:
            return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
        time.sleep(0.1)
    raise StackError(
        f"Chromium did not start within {START_SECONDS} s; try it by hand: {find_chromium()} --headless about:blank"
    )
