"""Readers of labelled datasets: each turns what lies in a folder or file into a `LabelledDataset`."""

from __future__ import annotations

from pathlib import Path

from watson.errors import UserError
from watson.training.labelled import LabelledDataset
from watson.training.readers import coco, open_images, voc

__all__ = ["read_dataset"]

_FORMATS = (
    "a Watson dataset (annotations/instances.json), COCO (a .json file), OpenImages (a .csv file of masks) or VOC "
    "(SegmentationClass/ and JPEGImages/)"
)


def read_dataset(path: Path, images: Path | None = None) -> LabelledDataset:
    """Read a labelled dataset, whichever kind it is. Pictures and masks are read later, when they are asked for.

    Args:
        path: a COCO ``.json`` file; a folder with ``annotations/instances.json``, as Watson exports, or with one JSON
            file alone; an OpenImages ``.csv`` file of masks, or a folder with one; a VOC folder.
        images: where the pictures are; None looks where each format has them.

    Raises:
        UserError: it is not there, is none of these, or is not well-formed: says what is wrong, where, what to do.
    """
    if not path.exists():
        raise UserError(f"the dataset {path} is not there")
    if images is not None and not images.is_dir():
        raise UserError(f"{images} is no folder: name the one that holds the dataset's pictures")
    if path.is_dir():
        return _in_folder(path, images)
    if path.suffix.lower() == ".json":
        return coco.read(path, images)
    if path.suffix.lower() == ".csv":
        return open_images.read(path, images)
    raise UserError(f"{path} is no labelled dataset. Known: {_FORMATS}.")


def _in_folder(folder: Path, images: Path | None) -> LabelledDataset:
    if (exported := folder / "annotations" / "instances.json").is_file():
        return coco.read(exported, images)
    if (folder / "SegmentationClass").is_dir():
        return voc.read(folder, images)
    if tables := [path for path in sorted(folder.glob("*.csv")) if open_images.is_table(path)]:
        return open_images.read(_only(tables, folder), images)
    if documents := sorted((*folder.glob("*.json"), *(folder / "annotations").glob("*.json"))):
        return coco.read(_only(documents, folder), images)
    raise UserError(f"{folder} holds no labelled dataset. Known: {_FORMATS}.")


def _only(paths: list[Path], folder: Path) -> Path:
    if len(paths) > 1:
        names = ", ".join(path.name for path in paths[:5])
        raise UserError(f"{folder} holds several datasets ({names}): name the file")
    return paths[0]
