from __future__ import annotations

import json
from pathlib import Path
from uuid import UUID

import pytest

from watson.cli.printing import one_line, print_json, print_rows

COLUMNS = ("job", "what")
ROWS = [["street-1", "photographs/[red]cat[/red].jpg"], ["street-2", ":cat:.jpg"]]


@pytest.fixture
def terminal(monkeypatch):
    """Rich takes any output for a terminal of 30 columns, with colours."""
    for name, value in {"FORCE_COLOR": "1", "COLUMNS": "30", "TERM": "xterm-256color"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NO_COLOR", raising=False)


def test_a_json_document_holds_what_json_does_not_know_as_text(capsys):
    print_json({"key": UUID(int=7), "out": Path("a/b"), "name": "Käse"})
    assert json.loads(capsys.readouterr().out) == {"key": str(UUID(int=7)), "out": "a/b", "name": "Käse"}


def test_rows_in_a_pipe_are_lines_of_tab_separated_cells_without_a_head(capsys):
    print_rows(COLUMNS, ROWS)
    assert capsys.readouterr().out == "street-1\tphotographs/[red]cat[/red].jpg\nstreet-2\t:cat:.jpg\n"


def test_rows_in_a_terminal_have_a_head(terminal, capsys):
    print_rows(COLUMNS, ROWS)
    head, *_ = capsys.readouterr().out.splitlines()
    assert "job" in head
    assert "what" in head
    assert "\x1b[1m" in head


def test_the_first_column_is_never_broken_in_a_terminal_however_narrow(terminal, capsys):
    name = "street-1a2b3c4d-1a2b3c4d"
    print_rows(COLUMNS, [[name, "a text that is much too long for what is left of the line"]])
    assert name in capsys.readouterr().out


def test_names_that_look_like_markup_or_emoji_are_shown_as_they_are_in_a_terminal(terminal, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    print_rows(COLUMNS, ROWS)
    out = capsys.readouterr().out
    assert "photographs/[red]cat[/red].jpg" in out
    assert ":cat:.jpg" in out


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("two\nlines\tand a tab", "two lines and a tab"),
        ("\x1b[31mred\x07", r"\x1b[31mred\x07"),
        ("\x9b2J", r"\x9b2J"),
        ("gpj.\u202etac", r"gpj.\u202etac"),
        ("\udcff", r"\udcff"),
        ("Käse 猫 🐈", "Käse 猫 🐈"),
        (3, "3"),
    ],
)
def test_a_cell_is_one_line_that_moves_no_cursor(text, line):
    assert one_line(text) == line
