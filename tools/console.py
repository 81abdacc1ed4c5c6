"""How the tools talk to a person: steps with elapsed time, tables, and errors that say what to do next."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich import box
from rich.console import Console
from rich.table import Table

from tools.processes import StackError

console = Console(highlight=False, soft_wrap=not sys.stdout.isatty())


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
    grid = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        grid.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        grid.add_row(*(str(cell) for cell in row))
    console.print(grid)


def run(command: Callable[[], None]) -> int:
    """Run `command` and return its exit code: an expected failure becomes its message, without a traceback."""
    try:
        command()
    except StackError as error:
        console.print(f"[bold red]error:[/] {error}", markup=True)
        return 1
    except KeyboardInterrupt:
        console.print("\ninterrupted; `make down` stops what still runs")
        return 130
    return 0
