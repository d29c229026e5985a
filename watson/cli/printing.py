"""How commands print: JSON for machines, tables in a terminal, tab-separated lines elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import orjson
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from watson.logs import printable

__all__ = ["one_line", "print_json", "print_rows"]


def print_json(value: object) -> None:
    """One JSON document on standard output."""
    typer.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2, default=str).decode())


def print_rows(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table with a head where somebody looks; else one line a row, cells separated by tabs, for ``cut`` and ``awk``.

    The last column takes what room is left; the first one is never broken, so that an id can be copied.
    """
    console = Console(emoji=False)  # names are shown as they are, also :cat:.jpg
    if not console.is_terminal:
        for row in rows:
            typer.echo("\t".join(one_line(cell) for cell in row))
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for number, column in enumerate(columns):
        table.add_column(column, no_wrap=number == 0, overflow="fold")
    for row in rows:
        table.add_row(*(escape(one_line(cell)) for cell in row))
    console.print(table, highlight=False)


def one_line(cell: object) -> str:
    """Text of one line that moves no cursor: names come from other people's buckets, escape sequences and all."""
    return printable(" ".join(str(cell).split()))
