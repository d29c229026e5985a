"""Labelled pictures that a command names: a file, a folder, or a snapshot in the object store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from watson.cli.session import command_settings, in_loop, open_objects
from watson.errors import UserError

if TYPE_CHECKING:
    from watson.training.labelled import LabelledDataset

__all__ = ["SNAPSHOT", "Labelled", "labelled"]

SNAPSHOT = "snapshot:"
"""Begins what is no path."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """Labelled pictures, and the snapshot that they are; empty for a path."""

    pictures: LabelledDataset
    snapshot: str = ""

    @property
    def id(self) -> str:
        """What names these pictures in an event: the snapshot's id, or a hash of pictures and labels."""
        return self.snapshot or self.pictures.digest()


def labelled(
    text: str, images: Path | None, folder: Path, on_progress: Callable[[str, int, int], None] | None = None
) -> Labelled:
    """Open labelled pictures.

    Args:
        text: a path, or ``snapshot:`` and the first digits of an id.
        images: where the pictures of a path are; None looks where each format has them.
        folder: where a snapshot's pictures are kept; what is there already is not fetched again.
        on_progress: told what is being done, how much of it is done, and how much there is.

    Raises:
        UserError: there is no such dataset or snapshot, or it is not well-formed.
        Refused, Retriable: the object store has not all of the snapshot, or is unavailable.
    """
    from watson.training.readers import read_dataset  # noqa: PLC0415 - pycocotools and OpenCV take time to import

    if not text.startswith(SNAPSHOT):
        return Labelled(read_dataset(Path(text), images))
    if images is not None:
        raise UserError("a snapshot has its pictures with it: leave --images out")
    snapshot = in_loop(_fetched(text.removeprefix(SNAPSHOT), folder, on_progress))
    return Labelled(read_dataset(folder), snapshot)


async def _fetched(digits: str, folder: Path, on_progress: Callable[[str, int, int], None] | None) -> str:
    from watson.snapshots import find  # noqa: PLC0415 - needed for snapshots alone
    from watson.snapshots.folder import write_folder  # noqa: PLC0415 - see above

    report = on_progress or (lambda _stage, _done, _all: None)
    async with open_objects(command_settings()) as objects:
        record = await find(objects, digits)
        await write_folder(objects, record, folder, lambda done, all_: report("snapshot", done, all_))
    return record.id
