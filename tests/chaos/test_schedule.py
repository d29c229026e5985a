"""The schedule is a pure function of the seed."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import pairwise

from tests.chaos.__main__ import seeds
from tests.chaos.faults import FAULTS, KINDS
from tests.chaos.schedule import Fault, draw_schedule
from tests.services.places import ROOT


def drawn(seed: int, number: int = 60) -> list[Fault]:
    return draw_schedule(seed, KINDS, number=number, gap=(2.0, 5.0))


def test_the_same_seed_gives_the_same_schedule() -> None:
    assert drawn(7) == drawn(7)


def test_the_same_seed_gives_the_same_schedule_in_another_process() -> None:
    program = "from tests.chaos.test_schedule import drawn; print(*drawn(7), sep='\\n')"
    environment = {**os.environ, "PYTHONHASHSEED": "random"}
    other = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert other.stdout.splitlines() == list(map(str, drawn(7)))


def test_the_order_of_the_table_does_not_matter() -> None:
    assert draw_schedule(7, KINDS[::-1], number=60, gap=(2.0, 5.0)) == drawn(7)


def test_another_seed_gives_another_schedule() -> None:
    assert drawn(7) != drawn(8)


def test_each_kind_comes_once_before_any_comes_twice() -> None:
    assert sorted(fault.name for fault in drawn(3, len(KINDS))) == sorted(FAULTS)


def test_parameters_and_gaps_keep_their_bounds() -> None:
    bounds = {kind.name: dict(kind.parameters) for kind in KINDS}
    faults = drawn(11)
    for fault in faults:
        for name, value in fault.parameters:
            least, most = bounds[fault.name][name]
            assert least <= value <= most
    gaps = [later.second - earlier.second for earlier, later in pairwise(faults)]
    assert all(1.8 <= gap <= 5.2 for gap in gaps)


def test_seeds_can_be_given_as_ranges() -> None:
    assert seeds("7") == [7]
    assert seeds("1-3,8") == [1, 2, 3, 8]
