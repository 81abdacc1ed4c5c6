"""The command line: see `tools.samples`."""

from __future__ import annotations

import argparse
from datetime import date
from pathlib import Path

from tools.samples import GENERATORS, write


def main() -> None:
    """Write what the command line asks for."""
    parser = argparse.ArgumentParser(prog="tools.samples", description="Raw files with known right answers.")
    parser.add_argument("dataset", choices=sorted(GENERATORS))
    parser.add_argument("--start", type=date.fromisoformat, required=True, help="first day, YYYY-MM-DD")
    parser.add_argument("--days", type=int, default=7)
    parser.add_argument("--rows", type=int, default=1000, help="rows of each day's file")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    arguments = parser.parse_args()
    write(arguments.dataset, arguments.start, arguments.days, arguments.rows, arguments.seed, arguments.out)


if __name__ == "__main__":
    main()
