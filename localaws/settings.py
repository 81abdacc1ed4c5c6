"""What the operator may set, read from the environment once at start."""

from __future__ import annotations

import json
import os
from pathlib import Path

STATE = Path(os.environ.get("LOCALAWS_STATE", "."))
"""Folder that holds everything: service state, objects, volumes, snapshots and command output."""

ENDPOINT = f"http://127.0.0.1:{os.environ.get('GATEWAY_PORT', '4566')}"
"""Where this server answers, as the processes on its instances see it."""

TRANSITION_SECONDS = float(os.environ.get("LOCALAWS_TRANSITION_SECONDS", "1"))
"""How long an instance is pending, stopping or shutting down, and a volume or snapshot is being made."""

ONLINE_SECONDS = float(os.environ.get("LOCALAWS_ONLINE_SECONDS", "0.5"))
"""How long after `running` an instance becomes reachable over SSM."""

DELIVERY_SECONDS = float(os.environ.get("LOCALAWS_DELIVERY_SECONDS", "0.2"))
"""How long a command takes to reach its instance; until then it has no invocation, as on AWS."""

SAVE_SECONDS = float(os.environ.get("LOCALAWS_SAVE_SECONDS", "1"))
"""At most this much time passes between a change and its being on disk, for all but very large states."""

INSTANCE_ENVIRONMENT: dict[str, str] = json.loads(os.environ.get("LOCALAWS_INSTANCE_ENV", "{}"))
"""Variables for every process on an instance; its PATH is put in front of the system's."""

NO_CAPACITY = STATE / "no-capacity"
"""File that names instance types, one a line, of which no zone has any left; looked at whenever an instance starts."""

CRAWL_SECONDS = float(os.environ.get("LOCALAWS_CRAWL_SECONDS", "1"))
"""How long a crawl takes at least. On AWS it is a minute or more."""
