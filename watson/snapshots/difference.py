"""What is in one snapshot and not in another: a walk over both by image key, in bounded memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Literal

from watson.snapshots.content import SnapshotImage
from watson.snapshots.record import Snapshot
from watson.snapshots.store import read
from watson.storage.objects import ObjectStore

__all__ = ["Change", "ImageChange", "SnapshotDifference", "difference"]

Change = Literal["gained", "lost", "picture", "model", "masks", "objects"]
"""What happened to an image: it came or went; there is another picture in its place, another model looked at it, other
masks entered; or the same masks are in other objects."""


@dataclass(frozen=True, slots=True)
class ImageChange:
    """An image that is not the same in both. ``changes`` are in the order of `Change`."""

    uri: str
    changes: tuple[Change, ...]


@dataclass(slots=True)
class SnapshotDifference:
    """From ``before`` to ``after``. A mask is the same where its id is: the same model found it in the same picture.

    Attributes:
        images: gained, lost, changed, unchanged → number.
        changes: of the images that changed, what did → number; an image may count several times.
        gained: category → masks that are in ``after`` alone.
        lost: category → masks that are in ``before`` alone.
        examples: the first images that are not the same, by image key.
    """

    before: Snapshot
    after: Snapshot
    images: Counter[str] = field(default_factory=Counter)
    changes: Counter[str] = field(default_factory=Counter)
    gained: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    examples: list[ImageChange] = field(default_factory=list)

    @property
    def same(self) -> bool:
        """Whether both hold the same images with the same masks."""
        return not (self.images["gained"] or self.images["lost"] or self.images["changed"])


async def difference(
    objects: ObjectStore, before: Snapshot, after: Snapshot, *, examples: int = 20
) -> SnapshotDifference:
    """Compare two snapshots, of one dataset or of two.

    Raises:
        Refused: ``OBJECT_MISSING`` or ``OBJECT_ALTERED``; the content of one is gone or damaged.
        Retriable: the store is unavailable.
    """
    found = SnapshotDifference(before, after)
    async with aclosing(read(objects, before)) as old, aclosing(read(objects, after)) as new:
        async for left, right in _in_step(old, new):
            changes = _changes(left, right)
            _count(found, left, right, changes)
            one = right or left
            if changes and one is not None and len(found.examples) < examples:
                found.examples.append(ImageChange(one.uri, changes))
    return found


async def _in_step(
    old: AsyncIterator[SnapshotImage], new: AsyncIterator[SnapshotImage]
) -> AsyncIterator[tuple[SnapshotImage | None, SnapshotImage | None]]:
    left, right = await anext(old, None), await anext(new, None)
    while left is not None or right is not None:
        keys = [image.image_key.bytes for image in (left, right) if image is not None]
        pair = tuple(image if image and image.image_key.bytes == min(keys) else None for image in (left, right))
        yield pair[0], pair[1]
        if pair[0] is not None:
            left = await anext(old, None)
        if pair[1] is not None:
            right = await anext(new, None)


def _changes(left: SnapshotImage | None, right: SnapshotImage | None) -> tuple[Change, ...]:
    if left is None:
        return ("gained",)
    if right is None:
        return ("lost",)
    if left == right:
        return ()
    changes: list[Change] = []
    if (left.original_sha256, left.picture_sha256) != (right.original_sha256, right.picture_sha256):
        changes.append("picture")
    if (left.model, left.weights_sha256) != (right.model, right.weights_sha256):
        changes.append("model")
    if left.masks != right.masks:
        changes.append("masks")
    return tuple(changes) or ("objects",)


def _count(
    found: SnapshotDifference, left: SnapshotImage | None, right: SnapshotImage | None, changes: tuple[Change, ...]
) -> None:
    if left is None or right is None:
        found.images[changes[0]] += 1
    else:
        found.images["changed" if changes else "unchanged"] += 1
        found.changes.update(changes)
    old = {mask.mask_id: mask.category for mask in left.masks} if left else {}
    new = {mask.mask_id: mask.category for mask in right.masks} if right else {}
    found.gained.update(category for mask, category in new.items() if mask not in old)
    found.lost.update(category for mask, category in old.items() if mask not in new)
