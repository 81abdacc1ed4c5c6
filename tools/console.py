"""How the tools talk to a person: steps with elapsed time, tables, and errors that say what to do next."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from tools.processes import StackError

PICTURE_COLUMNS = 110
PICTURE_LINES = 60

# What goes to a file has no width of its own.
console = Console(
    highlight=False, width=None if sys.stdout.isatty() else PICTURE_COLUMNS, soft_wrap=not sys.stdout.isatty()
)


@contextmanager
def step(title: str) -> Iterator[None]:
    """Show `title` while the block runs, with a spinner on a terminal, then the seconds it took."""
    started = time.monotonic()
    if console.is_terminal:
        with console.status(title):
            yield
    else:
        yield
    console.print(f"  [green]✓[/] {title} [dim]{time.monotonic() - started:.1f} s[/]")


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], right: Sequence[str] = ()) -> None:
    """Print `rows` under `columns`; those named in `right` are right-aligned, as numbers are."""
    grid = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, show_edge=False)
    for column in columns:
        grid.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        grid.add_row(*(str(cell) for cell in row))
    console.print()
    console.print(grid)


def record() -> None:
    """Keep all that is printed from now on, laid out for a terminal of `PICTURE_COLUMNS`, for `save_end_as_svg`."""
    console.record = True
    console.soft_wrap = False
    console.width = PICTURE_COLUMNS


def save_end_as_svg(path: Path, title: str) -> None:
    """Save the last `PICTURE_LINES` recorded lines as a picture of a terminal window with `title`."""
    lines = console.export_text(styles=True).rstrip().splitlines()[-PICTURE_LINES:]
    paper = Console(record=True, width=PICTURE_COLUMNS, file=io.StringIO(), highlight=False)
    paper.print(Text.from_ansi("\n".join(lines)), "\n")
    path.parent.mkdir(parents=True, exist_ok=True)
    paper.save_svg(str(path), title=title)


def run(command: Callable[[], None]) -> int:
    """Run `command` and return its exit code: an expected failure becomes its message, without a traceback."""
    try:
        command()
    except StackError as error:
        console.print(f"[bold red]error:[/] {escape(f'{error}')}", markup=True)
        return 1
    except KeyboardInterrupt:
        console.print("\ninterrupted; `make down` stops what still runs")
        return 130
    return 0
