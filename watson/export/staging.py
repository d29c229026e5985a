"""A dataset directory is replaced as a whole: built beside, then moved into place.

While it is built, all lies in ``DATASET/.watson-export/new``. When it is whole, the file ``ready`` says so, and from
then on only renames are left: an export that is killed between them is brought to its end by the next one.
``dataset.json`` leaves first and comes last, so that a directory that has it is a whole dataset. Files that are not
in ``SHA256SUMS`` are the user's, and stay.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

from watson.errors import UserError

__all__ = ["FORMAT", "MARKER", "SUMS", "Staging", "check_target"]

MARKER = "dataset.json"
SUMS = "SHA256SUMS"
FORMAT = "watson-dataset"
_STAGING = ".watson-export"
_WORK = ".watson"
_ENTRIES = ("annotations", "images", "masks", "thumbnails", "quarantine.json", "README.md", "index.html", SUMS, MARKER)
_CHUNK = 1 << 20


def check_target(out: Path) -> None:
    """Make sure that a dataset may be written to ``out``.

    Raises:
        UserError: it is a file, or holds something that is not a dataset of Watson's.
    """
    if not out.exists():
        return
    if not out.is_dir():
        raise UserError(f"{out} is a file; name a directory for the dataset")
    if _is_ours(out) or (out / _STAGING / "ready").is_file():
        return
    present = {entry.name for entry in out.iterdir()}
    taken = sorted(present.intersection(_ENTRIES) if _WORK in present else present - {_STAGING})
    if taken:
        raise UserError(
            f"{out} is not empty and is not a Watson dataset (it holds {', '.join(taken[:5])}"
            f"{', …' if len(taken) > 5 else ''}); name another directory, or an empty one"
        )


def _is_ours(out: Path) -> bool:
    try:
        marker: Any = orjson.loads((out / MARKER).read_bytes())
    except (FileNotFoundError, orjson.JSONDecodeError):
        return False
    return isinstance(marker, dict) and marker.get("format") == FORMAT


class Staging:
    """A dataset that is being built for ``out``. Made by `Staging.begin`, used by one thread at a time."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._staging = out / _STAGING
        self._new = self._staging / "new"
        self._sums = self._new / SUMS

    @classmethod
    @contextmanager
    def begin(cls, out: Path) -> Iterator[Staging]:
        """Lock ``out``, finish or drop what an earlier export left, and clean up at the end.

        Raises:
            UserError: `check_target` refuses it, or another export is writing to it.
        """
        check_target(out)
        out.mkdir(parents=True, exist_ok=True)
        directory = os.open(out, os.O_RDONLY)
        try:
            try:
                fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UserError(f"Another export is writing to {out}; wait for its end, or name another one") from None
            staging = cls(out)
            if (staging._staging / "ready").is_file():
                staging._publish()
            shutil.rmtree(staging._staging, ignore_errors=True)
            for name in ("annotations", "images", "masks", "thumbnails"):
                (staging._new / name).mkdir(parents=True)
            staging._sums.touch()
            try:
                yield staging
            finally:
                # A publication cut short by an error is left for the next export to finish.
                if not (staging._staging / "ready").is_file():
                    shutil.rmtree(staging._staging)
        finally:
            os.close(directory)

    @property
    def out(self) -> Path:
        """Where the dataset goes."""
        return self._out

    def path(self, relative: str) -> Path:
        """Where to write a file by other means than `write`; `note` it when it is done."""
        return self._new / relative

    def write(self, relative: str, data: bytes) -> None:
        """One file of the dataset.

        Raises:
            FileExistsError: it was written already.
        """
        with self.path(relative).open("xb") as file:
            file.write(data)
        self._note(relative, hashlib.sha256(data).hexdigest())

    def note(self, relative: str) -> None:
        """Enter a file that was written to `path` in ``SHA256SUMS``."""
        digest = hashlib.sha256()
        with self.path(relative).open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
        self._note(relative, digest.hexdigest())

    def publish(self) -> None:
        """Move the finished dataset into its place."""
        (self._staging / "ready").touch()
        self._publish()

    def _note(self, relative: str, digest: str) -> None:
        with self._sums.open("a", encoding="utf-8") as file:
            file.write(f"{digest}  {relative}\n")

    def _publish(self) -> None:
        """Renames alone; each step looks what is done already, so that it can be begun again after a kill."""
        old = self._staging / "old"
        old.mkdir(exist_ok=True)
        if (self._new / MARKER).exists() and (self._out / MARKER).exists():
            (self._out / MARKER).replace(old / MARKER)
        for name in _ENTRIES:
            if not os.path.lexists(self._new / name):
                continue
            if os.path.lexists(self._out / name) and not os.path.lexists(old / name):
                (self._out / name).rename(old / name)
            (self._new / name).replace(self._out / name)
        self._give_back(old)
        (self._staging / "ready").unlink()

    def _give_back(self, old: Path) -> None:
        """Files of the user among the replaced ones return to where they were, beside a new one of their name."""
        ours = {MARKER, SUMS}
        if (old / SUMS).exists():
            with (old / SUMS).open(encoding="utf-8") as lines:
                ours.update(line.rstrip("\n")[66:] for line in lines)  # 64 digits, two blanks
        for file in sorted(path for path in old.rglob("*") if path.is_symlink() or not path.is_dir()):
            relative = file.relative_to(old)
            if relative.as_posix() in ours:
                continue
            target = self._out / relative
            count = 0
            while os.path.lexists(target):
                count += 1
                target = self._out / relative.with_name(f"{relative.stem}.kept-{count}{relative.suffix}")
            target.parent.mkdir(parents=True, exist_ok=True)
            file.rename(target)
