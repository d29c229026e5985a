"""Snapshots of datasets: immutable, named by the hash of their content. docs/datasets.md describes them."""

from watson.snapshots.content import SnapshotImage, SnapshotMask
from watson.snapshots.difference import SnapshotDifference, difference
from watson.snapshots.record import SHORT, JobTaken, ModelTaken, Part, Snapshot
from watson.snapshots.store import find, read, snapshots
from watson.snapshots.take import Taken, take

__all__ = [
    "SHORT",
    "JobTaken",
    "ModelTaken",
    "Part",
    "Snapshot",
    "SnapshotDifference",
    "SnapshotImage",
    "SnapshotMask",
    "Taken",
    "difference",
    "find",
    "read",
    "snapshots",
    "take",
]
