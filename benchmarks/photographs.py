"""Photographs for benchmarks: those of the demo, each in several versions that differ in their bytes and pixels."""

from __future__ import annotations

import io
import itertools
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image, ImageEnhance

from watson.embedded.demo import collect_photographs

LONG_SIDE = 1024


def originals() -> list[Image.Image]:
    """The demo's photographs, decoded."""
    with TemporaryDirectory() as folder:
        collect_photographs(Path(folder))
        paths = sorted(path for path in Path(folder).iterdir() if not path.name.startswith("broken"))
        return [Image.open(path).convert("RGB") for path in paths]


def write_photographs(folder: Path, number: int) -> int:
    """Write ``number`` distinct JPEGs of the size of usual web photographs; returns their bytes in all."""
    folder.mkdir(parents=True, exist_ok=True)
    total = 0
    for index, picture in zip(range(number), itertools.cycle(originals()), strict=False):
        version = ImageEnhance.Brightness(picture).enhance(1.0 - 0.01 * (index // 29 % 30))
        scale = LONG_SIDE / max(version.size)
        version = version.resize((round(version.width * scale), round(version.height * scale)))
        out = io.BytesIO()
        version.save(out, "JPEG", quality=90)
        (folder / f"{index:05}.jpg").write_bytes(out.getvalue())
        total += out.tell()
    return total
