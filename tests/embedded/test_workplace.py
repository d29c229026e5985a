from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from watson.embedded.workplace import claim
from watson.errors import UserError

_HOLDER = """
import sys, time
from pathlib import Path
from watson.embedded.workplace import claim
with claim(Path(sys.argv[1])):
    print("claimed", flush=True)
    time.sleep(60)
"""


def test_a_second_run_on_the_same_dataset_is_refused_and_names_the_first(tmp_path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", _HOLDER, str(tmp_path / "out")], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout
        assert holder.stdout.readline() == "claimed\n"
        with pytest.raises(UserError, match=rf"process {holder.pid}\) works on"), claim(tmp_path / "out"):
            pass
    finally:
        holder.kill()
        holder.communicate()
    with claim(tmp_path / "out") as workplace:  # a claim ends with its process, however it ends
        assert workplace.logs.is_dir()


def test_a_directory_with_other_files_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"x")
    with pytest.raises(UserError, match=r"holiday\.jpg"), claim(tmp_path):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["holiday.jpg"]


def test_state_of_an_earlier_log_is_dropped_and_objects_are_kept(tmp_path: Path) -> None:
    with claim(tmp_path / "out") as workplace:
        for folder in (workplace.state / "segment", workplace.objects):
            folder.mkdir(parents=True)
            (folder / "file").touch()
        workplace.forget_state()
        assert list(workplace.state.iterdir()) == []
        assert (workplace.objects / "file").exists()


def test_an_unwritable_place_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written: Not a directory"), claim(tmp_path / "file" / "out"):
        pass
