"""The sources of the three jobs, made from a seed: many good pictures, some broken, some named twice, some missing.

What is made here is what must come out, so the oracle asks this module and never a listing of Watson's.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

__all__ = ["Expected", "Sources", "make_sources", "picture", "upload"]

GOOD: frozenset[str] = frozenset()
"""Catalogued. Otherwise: the reason codes of which a dead letter must have one."""

_SIDES = (48, 56, 64, 80)  # pixels
_BROKEN_EVERY = 25
_REPEATED_EVERY = 20
_UPLOADS_AT_ONCE = 8


@dataclass(frozen=True)
class Expected:
    """What one job must end as."""

    job: str
    source: dict[str, str]
    entries: tuple[str, ...]  # URIs in the listing, repetitions included
    ends: dict[str, frozenset[str]]  # URI → `GOOD`, or the reasons that may be given
    dataset: str = "chaos"
    model: str = "test-threshold"


@dataclass
class Sources:
    """All that is made for one run."""

    objects: dict[str, bytes] = field(default_factory=dict)  # key in the bucket → bytes
    originals: dict[str, bytes] = field(default_factory=dict)  # URI → bytes
    jobs: list[Expected] = field(default_factory=list)

    @property
    def images(self) -> int:
        """Distinct images of each job, summed."""
        return sum(len(job.ends) for job in self.jobs)


def picture(number: int) -> tuple[bytes, str]:
    """A small picture, different for each number, and its suffix: a disc on a noisy ground, PNG, JPEG or BMP."""
    random = np.random.default_rng(number)
    side = _SIDES[number % len(_SIDES)]
    y, x = np.mgrid[:side, :side]
    centre = random.integers(side // 3, 2 * side // 3, 2)
    pixels = random.integers(*_GROUNDS[number % len(_GROUNDS)], (side, side, 3))
    disc = (x - centre[0]) ** 2 + (y - centre[1]) ** 2 < random.integers(side // 6, side // 3) ** 2
    pixels[disc] = random.integers(*_DISCS[number % len(_DISCS)], 3)
    form, suffix, options = _FORMS[number % len(_FORMS)]
    out = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(out, form, **options)
    return out.getvalue(), suffix


_GROUNDS = ((0, 60), (100, 150), (180, 256))
_DISCS = ((200, 256), (0, 50), (90, 160), (180, 256), (0, 80))
_FORMS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("PNG", "png", {}),
    ("JPEG", "jpg", {"quality": 90}),
    ("PNG", "png", {"compress_level": 1}),
    ("BMP", "bmp", {}),
)


def _broken(number: int) -> tuple[bytes, frozenset[str]]:
    """One of the ways in which a file can be no picture, and the reasons that may be given for it."""
    png, _ = picture(4 * number)
    jpeg, _ = picture(4 * number + 1)
    altered = bytearray(png)
    altered[len(png) // 2] ^= 0xFF
    ways = (
        (b"", "empty-file"),
        (b"this is no picture %d" % number, "not-an-image"),
        (jpeg[: len(jpeg) // 2], "truncated"),
        (png[: len(png) // 2], "truncated"),
        (bytes(altered), "corrupt"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 40 + b"%d" % number, "corrupt"),
    )
    data, reason = ways[number % len(ways)]
    return data, frozenset({reason})


def _files(first: int, number: int, folder: str) -> Iterator[tuple[str, bytes, frozenset[str]]]:
    """Relative name, bytes, end."""
    for n in range(first, first + number):
        if n % _BROKEN_EVERY == 7:
            data, end = _broken(n // _BROKEN_EVERY)
            yield f"{folder}/{n % 7}/{n:06}.jpg", data, end
        else:
            data, suffix = picture(n)
            yield f"{folder}/{n % 7}/{n:06}.{suffix}", data, GOOD


def make_sources(number: int, bucket: str, folder: Path) -> Sources:
    """Make the sources of three jobs of about ``number`` images each; the files are written, the objects are not.

    ``bucket``: an S3 prefix; ``folder``: a directory; ``list``: a list of URIs of which half are the first job's
    objects, some the second's files, some named twice, some not there.
    """
    made = Sources()
    in_bucket, in_folder = {}, {}
    for name, data, end in _files(0, number, "photographs"):
        uri = f"s3://{bucket}/{name}"
        made.objects[name], made.originals[uri], in_bucket[uri] = data, data, end
    for name, data, end in _files(1_000_000, number, "pictures"):
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        made.originals[file.as_uri()], in_folder[file.as_uri()] = data, end
    listed = dict([*list(in_bucket.items())[: number // 2], *list(in_folder.items())[: number // 5]])
    for name, data, end in _files(2_000_000, number - len(listed), "more"):
        uri = f"s3://{bucket}/{name}"
        made.objects[name], made.originals[uri], listed[uri] = data, data, end
    listed |= {f"s3://{bucket}/gone/{n}.jpg": frozenset({"object-missing"}) for n in range(max(2, number // 100))}
    lines = list(listed)
    lines += lines[::_REPEATED_EVERY]
    (folder / "list.txt").write_text("\n".join(lines) + "\n")
    sources = [
        ("bucket", {"kind": "s3", "uri": f"s3://{bucket}/photographs/"}, sorted(in_bucket), in_bucket),
        ("folder", {"kind": "directory", "uri": str(folder / "pictures")}, sorted(in_folder), in_folder),
        ("list", {"kind": "list", "uri": str(folder / "list.txt")}, lines, listed),
    ]
    made.jobs = [Expected(job, source, tuple(entries), ends) for job, source, entries, ends in sources]
    return made


def upload(s3: Any, bucket: str, sources: Sources) -> None:
    """Put the objects into the bucket, which is made."""
    s3.create_bucket(Bucket=bucket)
    with ThreadPoolExecutor(_UPLOADS_AT_ONCE) as pool:
        puts = [pool.submit(s3.put_object, Bucket=bucket, Key=key, Body=data) for key, data in sources.objects.items()]
        for put in puts:
            put.result()
