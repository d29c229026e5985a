"""What a run prints at its end."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console

from watson.cli import app
from watson.embedded.summary import RunSummary
from watson.errors import UserError

ODD = "\x1b[2J\x1b]0;title\x07\u202egpj.exe"


def test_a_source_without_pictures_is_said_to_be_one() -> None:
    out = io.StringIO()
    summary = RunSummary(
        job="j", dataset="d", model="m@1", discovered=0, catalogued=0, quarantined=0, masks=0, seconds=1.0,
        quarantined_by_reason={}, quarantined_files={}, categories={},
        out=Path("/out"), gallery=Path("/out/index.html"),
    )  # fmt: skip
    summary.show(Console(file=out, width=200))
    assert "the source holds no file" in out.getvalue()


def test_no_name_of_a_file_or_category_moves_the_cursor() -> None:
    out = io.StringIO()
    summary = RunSummary(
        job="j", dataset="d", model="m@1", discovered=1, catalogued=0, quarantined=1, masks=1, seconds=1.0,
        quarantined_by_reason={"corrupt": 1}, quarantined_files={"corrupt": [ODD]}, categories={ODD: 1},
        out=Path("/out"), gallery=Path("/out/index.html"),
    )  # fmt: skip
    summary.show(Console(file=out, width=200, emoji=False))
    assert all(c.isprintable() or c == "\n" for c in out.getvalue())
    assert r"\x1b[2J" in out.getvalue()


def test_no_error_moves_the_cursor(capsys) -> None:
    app._say(UserError(f"there is no {ODD}"))
    assert all(c.isprintable() or c == "\n" for c in capsys.readouterr().err)
