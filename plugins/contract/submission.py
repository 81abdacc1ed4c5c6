"""Submissions: what one try of `clean` writes has a name of its own, so that no try ever overwrites another's."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

PATTERN = "[A-Za-z0-9_-]{1,200}-[0-9a-f]{8}"
"""What the name of a submission looks like, as a regular expression."""


@dataclass(frozen=True)
class Submission:
    """The slug of the Airflow run that submitted, and eight hex digits that tell its tries apart: `<run>-<attempt>`."""

    run: str
    attempt: str

    def __str__(self) -> str:
        return f"{self.run}-{self.attempt}"

    @classmethod
    def new(cls, run: str) -> Submission:
        """Another submission of a run."""
        return cls(run, secrets.token_hex(4))

    @classmethod
    def parse(cls, text: str) -> Submission:
        """The submission of this name.

        :raises ValueError: it is not one's name.
        """
        if not re.fullmatch(PATTERN, text):
            raise ValueError(f"{text!r} is not a submission: <run>-<8 hex digits>")
        run, _, attempt = text.rpartition("-")
        return cls(run, attempt)

    @classmethod
    def told(cls, record: Mapping[str, Any]) -> Submission:
        """The submission that a manifest, a record or a partition's parameters tell of.

        :raises KeyError: they tell of none.
        :raises ValueError: what they tell is not one's name.
        """
        # What was written before submissions had a word of their own called them run_id.
        return cls.parse(record["submission"] if "submission" in record else record["run_id"])

    @classmethod
    def of_folder(cls, uri: str) -> Submission:
        """The submission that wrote a folder `.../run=<submission>/`.

        :raises ValueError: the folder is none of a submission's.
        """
        return cls.parse(uri.rstrip("/").rpartition("/run=")[2])
