"""What ``run`` refuses before it starts anything; tests/embedded/ has what it does then."""

from __future__ import annotations

from pathlib import Path

import pytest

from watson.cli.run import _name_of


@pytest.fixture
def photographs(watson):
    folder = watson.folder / "photographs"
    folder.mkdir()
    (folder / "cat.jpg").write_bytes(b"no cat")
    return folder


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["nowhere", "--out", "out"], "there is no 'nowhere'"),
        (["", "--out", "out"], "the source is empty"),
        (["photographs/cat.jpg", "--out", "out"], "is one file"),
        (["photographs", "--out", "photographs/out"], "lies in"),
        (["photographs", "--out", "photographs"], "lies in"),
        (["photographs", "--out", "file"], "file is a file"),
        (["photographs", "--out", "thesis"], "holds chapter.tex"),
        (["photographs", "--out", "out", "--template", "{id}"], "--template is for --kind open-images"),
        (["photographs", "--out", "out", "--kind", "ftp"], "kind: "),
        (["photographs", "--out", "out", "--model", "nope"], "there is no model 'nope'"),
        (["photographs", "--out", "out", "--model", "nope.toml"], "nope.toml cannot be read"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_before_anything_is_started_or_made(watson, photographs, arguments, why):
    (watson.folder / "file").touch()
    (watson.folder / "thesis").mkdir()
    (watson.folder / "thesis/chapter.tex").touch()
    before = sorted(watson.folder.rglob("*"))
    assert why in watson("run", *arguments).refused()
    assert sorted(watson.folder.rglob("*")) == before


@pytest.mark.parametrize(
    ("out", "name"),
    [
        ("street", "street"),
        ("a/b c", "b-c"),
        ("../..x", "x"),
        ("ä", "dataset"),
        ("été", "t-"),
        ("d" * 120, "d" * 100),
        ("...", "dataset"),
    ],
)
def test_the_dataset_is_named_for_its_directory_in_letters_that_a_name_may_have(out, name, tmp_path):
    assert _name_of(tmp_path / out) == name


def test_the_root_directory_has_a_name_too():
    assert _name_of(Path("/")) == "dataset"
