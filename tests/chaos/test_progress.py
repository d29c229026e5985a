"""Recovery is measured from what was there after the fault, not before it."""

from __future__ import annotations

from tests.chaos.progress import Progress


def watched(*samples: tuple[float, int, int]) -> Progress:
    progress = Progress("nowhere:1", "", 2, ("segmented",))
    progress.samples.extend((at, {("segmented", 0): one, ("segmented", 1): two}) for at, one, two in samples)
    return progress


def test_what_came_out_just_before_the_fault_is_no_recovery() -> None:
    progress = watched((9.0, 1, 1), (10.5, 5, 5), (11.0, 5, 5), (14.0, 6, 5), (17.0, 7, 6))
    assert progress.moved("segmented", 10.0, every_partition=True) == 7.0
    assert progress.moved("segmented", 10.0, every_partition=False) == 4.0


def test_what_never_moved_again_is_not_measured() -> None:
    assert watched((9.0, 1, 1), (11.0, 2, 1), (12.0, 3, 1)).moved("segmented", 10.0, every_partition=True) is None
