"""Tables for people. What programs read is JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

_WIDTH_WITHOUT_TERMINAL = 200  # nothing is cut when the output goes to a file or a pipe


def show(
    columns: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: Iterable[str] = (), total: Sequence[str] = ()
) -> None:
    """Print a table; the columns in `numbers` are aligned to the right, `total` is a last row set apart."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDTH_WITHOUT_TERMINAL)
    table = Table(box=SIMPLE_HEAD, show_footer=bool(total), pad_edge=False)
    right = frozenset(numbers)
    for index, column in enumerate(columns):
        footer = total[index] if total else ""
        table.add_column(column, footer, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    console.print(table, markup=False)
