from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from watson.embedded import demo
from watson.embedded.demo import collect_photographs
from watson.errors import UserError

BROKEN = {"broken-truncated.jpg", "broken-not-a-picture.jpg"}


def test_about_thirty_real_photographs_are_found_and_two_files_are_broken(tmp_path: Path) -> None:
    count = collect_photographs(tmp_path)
    files = sorted(tmp_path.iterdir())
    assert len(files) == count
    assert count >= 30
    for path in files:
        if path.name not in BROKEN:
            with Image.open(path) as picture:
                picture.load()
                assert min(picture.size) >= 200
    for name in BROKEN:
        with pytest.raises(OSError), Image.open(tmp_path / name) as picture:
            picture.load()


def test_collecting_again_touches_nothing(tmp_path: Path) -> None:
    collect_photographs(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    collect_photographs(tmp_path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


def test_missing_packages_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "find_spec", lambda _name: None)
    with pytest.raises(UserError, match=r"watson\[demo\]"):
        collect_photographs(tmp_path)
