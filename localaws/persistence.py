"""State that survives a crash: ministack saves on a graceful stop only, and starts afresh from a file it cannot read.

Here every service's state is written shortly after it changed, whole or not at all, and a file that cannot be read is
kept beside the new one under a name that says so.
"""

from __future__ import annotations

import contextlib
import copy
import datetime
import hashlib
import json
import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ministack import app
from ministack.core import persistence
from ministack.services import sts

from localaws import machines
from localaws.overlay import replace
from localaws.settings import SAVE_SECONDS

logger = logging.getLogger("localaws.persistence")

MAXIMUM_SHARE = 0.05
"""Of one processor's time, for saving a service's state: one that takes long to save is saved less often."""


class Saver:
    """Writes the state of each service to its file when it differs from what is there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.written: dict[str, bytes] = {}
        self.not_before: dict[str, float] = {}
        self.saving = threading.Lock()
        folder.mkdir(parents=True, exist_ok=True)

    def save(self, services: dict[str, Callable[[], Any]], *, hurry: bool) -> None:
        """Save the services that changed.

        Args:
            services: name of each service's file, and the function that gives its state.
            hurry: True to leave none for later, at a stop.
        """
        with self.saving:
            for name, state_of in services.items():
                started = time.monotonic()
                if not hurry and started < self.not_before.get(name, 0):
                    continue
                try:
                    self._save(name, state_of)
                except Exception:
                    logger.exception("The state of %s could not be saved", name)
                self.not_before[name] = time.monotonic() + (time.monotonic() - started) / MAXIMUM_SHARE

    def _save(self, name: str, state_of: Callable[[], Any]) -> None:
        text = _consistent(lambda: self._text_of(name, state_of()))
        if text is None:
            return
        digest = hashlib.sha256(text).digest()
        if self.written.get(name) == digest:
            return
        path = self.folder / f"{name}.json"
        partial = path.with_suffix(".json.tmp")
        with partial.open("wb") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        self.written[name] = digest

    @staticmethod
    def _text_of(name: str, state: Any) -> bytes | None:
        """What the file of a service holds; None for one without a state."""
        if state is None:
            return None
        document = {"__ministack_format__": persistence._state_format_version(name), "payload": state}
        return json.dumps(document, default=persistence._json_default).encode()


def _consistent(text_of: Callable[[], bytes | None], attempts: int = 20) -> bytes | None:
    """A service's state as text, made again when a request changed the state meanwhile."""
    for _ in range(attempts - 1):
        with contextlib.suppress(RuntimeError):
            return text_of()
        time.sleep(0.01)
    return text_of()


def _encode(original: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Let datetimes be saved, which ministack's own encoder cannot."""

    def encode(value: Any) -> Any:
        if isinstance(value, datetime.datetime):
            return {"__datetime__": value.isoformat()}
        return original(value)

    return encode


def _decode(original: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def decode(value: Any) -> Any:
        if "__datetime__" in value:
            return datetime.datetime.fromisoformat(value["__datetime__"])
        return original(value)

    return decode


def set_aside(path: Path, reason: Exception) -> None:
    """Keep a state file that cannot be used under another name, and say so loudly."""
    kept = path.with_name(f"{path.name}.corrupt-{time.strftime('%Y%m%dT%H%M%S')}")
    path.rename(kept)
    logger.critical(
        "THE STATE OF %s COULD NOT BE READ (%s), SO THE SERVICE STARTS EMPTY. The file is kept as %s.",
        path.stem.upper(),
        reason,
        kept,
    )


def load_all(folder: Path) -> None:
    """Restore every saved service."""
    for name, module in app._state_map.items():
        path = folder / f"{name}.json"
        if not path.exists():
            continue
        try:
            saved = json.loads(path.read_bytes(), object_hook=persistence._json_object_hook)
            if saved["__ministack_format__"] > persistence._state_format_version(name):
                raise ValueError(f"it was written by a later ministack, in format {saved['__ministack_format__']}")
            app._get_module(module).load_persisted_state(saved["payload"])
        except Exception as error:
            set_aside(path, error)


def _sessions() -> dict[str, Any]:
    return {"sessions": copy.deepcopy(sts._sessions)}


def _restore_sessions(state: dict[str, Any]) -> None:
    sts._sessions.update(state["sessions"])


def install() -> None:
    """Save continually and at the end, and load with care."""
    folder = Path(persistence.STATE_DIR)
    saver = Saver(folder)
    changed = threading.Event()

    dispatch: Any = app._dispatch_service_request

    async def dispatch_and_note(*arguments: Any) -> Any:
        try:
            return await dispatch(*arguments)
        finally:
            changed.set()

    def save_while_running() -> None:
        while True:
            # What changes without a request is saved at the latest after ten rounds.
            changed.wait(10 * SAVE_SECONDS)
            changed.clear()
            time.sleep(SAVE_SECONDS)
            saver.save(app._build_persistence_save_dict(), hurry=False)

    def save_at_end(services: dict[str, Callable[[], Any]]) -> None:
        machines.power_off_all("lost")
        saver.save(services, hurry=True)

    def load_and_watch() -> None:
        load_all(folder)
        threading.Thread(target=save_while_running, daemon=True, name="localaws-saver").start()

    replace(app.__name__, "_dispatch_service_request", dispatch_and_note)
    replace(app.__name__, "save_all", save_at_end)
    replace(app.__name__, "_load_persisted_state", load_and_watch)
    replace(persistence.__name__, "_json_default", _encode(persistence._json_default))
    replace(persistence.__name__, "_json_object_hook", _decode(persistence._json_object_hook))
    # Temporary credentials outlive a restart on AWS: a client that cached them would otherwise fail until they expire.
    replace(sts.__name__, "get_state", _sessions)
    replace(sts.__name__, "load_persisted_state", _restore_sessions)
