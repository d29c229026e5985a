"""``make demo``: Watson on real photographs that came with Python packages, and on two files that are broken."""

from __future__ import annotations

import asyncio
import sys
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console

from watson.embedded.run import run
from watson.errors import UserError, WatsonError
from watson.events import Source

__all__ = ["collect_photographs", "main"]

_PHOTOGRAPHS = {
    # package and file → name. skimage's other pictures are patterns, scans, or not in the wheel.
    ("skimage", "data/astronaut.png"): "astronaut.png",
    ("skimage", "data/camera.png"): "cameraman.png",
    ("skimage", "data/chelsea.png"): "cat-chelsea.png",
    ("skimage", "data/coffee.png"): "coffee.png",
    ("skimage", "data/coins.png"): "coins.png",
    ("skimage", "data/motorcycle_left.png"): "motorcycle.png",
    ("skimage", "data/rocket.jpg"): "rocket.jpg",
    ("sklearn", "datasets/images/china.jpg"): "chinese-palace.jpg",
    ("sklearn", "datasets/images/flower.jpg"): "flower.jpg",
}
_FOOLBOX = ("foolbox", "data")
# foolbox's twenty photographs of ImageNet, imagenet_<nn>_<class number>.jpg: what ImageNet says is on them, by number.
_IMAGENET = (
    *("bull-mastiff", "folding-chair", "beaker", "buckeye", "strawberry", "thatch", "jeep-grey", "jeep-blue", "yurt"),
    *("bottle-cap", "drum", "loafer", "prayer-rug", "cannon", "spoonbill", "goose", "dalmatian", "bald-eagle"),
    *("leafhopper", "dung-beetle"),
)
_FEWEST = 10
_TRUNCATED_FRACTION = 0.4


def collect_photographs(folder: Path) -> int:
    """Copy the photographs to ``folder``, add two broken files, and return how many files there are.

    Raises:
        UserError: the packages of ``pip install watson[demo]`` are missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found = {name: data for (package, path), name in _PHOTOGRAPHS.items() if (data := _resource(package, path))}
    found.update(_imagenet())
    if len(found) < _FEWEST:
        raise UserError(
            f"Only {len(found)} photographs were found; install the packages that hold them: "
            "pip install 'watson[demo]' (scikit-image, scikit-learn, foolbox)"
        )
    largest = max((name for name in found if name.endswith(".jpg")), key=lambda name: len(found[name]))
    found["broken-truncated.jpg"] = found[largest][: int(len(found[largest]) * _TRUNCATED_FRACTION)]
    found["broken-not-a-picture.jpg"] = b"This is a text file that somebody named .jpg.\n"
    for name, data in found.items():
        path = folder / name
        # Untouched where it is the same: a file's time of change is part of what a listing says of it.
        if not path.exists() or path.read_bytes() != data:
            path.write_bytes(data)
    return len(found)


def _resource(package: str, path: str) -> bytes | None:
    file = next((root / path for root in _roots(package) if (root / path).is_file()), None)
    return file.read_bytes() if file else None


def _roots(package: str) -> list[Path]:
    """Where a package lies, found without importing it: foolbox would load torch."""
    spec = find_spec(package)
    return [Path(root) for root in (spec.submodule_search_locations or ())] if spec else []


def _imagenet() -> dict[str, bytes]:
    package, path = _FOOLBOX
    return {
        f"{_IMAGENET[int(entry.name.split('_')[1])]}.jpg": entry.read_bytes()
        for root in _roots(package)
        for entry in (root / path).glob("imagenet_*.jpg")
    }


def main(place: Path = Path("demo")) -> int:
    """Run the demo in ``place``; returns the exit code."""
    console = Console(emoji=False)
    try:
        count = collect_photographs(place / "photographs")
        console.print(f"{count} files in {place / 'photographs'}, two of them broken on purpose. Segmenting them:\n")
        source = Source(kind="directory", uri=str((place / "photographs").resolve()))
        summary = asyncio.run(run(source, place / "dataset", dataset="demo", console=console))
    except WatsonError as exc:
        Console(stderr=True, emoji=False).print(
            f"watson: {exc}", style="red", markup=False, highlight=False, soft_wrap=True
        )
        return getattr(exc, "exit_code", 2)
    summary.show(console)
    return 0


if __name__ == "__main__":
    sys.exit(main())
