"""A schedule of faults is a pure function of its seed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from random import Random

__all__ = ["CHAIN", "WORKERS", "Fault", "Kind", "draw_schedule"]

CHAIN = ("preprocess", "segment", "catalogue")
WORKERS: dict[str, int] = {"discover": 2, "preprocess": 2, "segment": 2, "catalogue": 2, "project": 2}
"""Workers of each role."""

Bounds = tuple[float, float]


@dataclass(frozen=True)
class Kind:
    """A kind of fault, as far as a schedule needs to know it.

    Attributes:
        name: as in the table of `tests.chaos.faults`.
        victims: one of them is drawn.
        parameters: a number is drawn between the bounds of each.
    """

    name: str
    victims: tuple[str, ...]
    parameters: tuple[tuple[str, Bounds], ...] = ()


@dataclass(frozen=True)
class Fault:
    """One fault: when (seconds after the first images came out), what, to whom, and how."""

    second: float
    name: str
    victim: str
    parameters: tuple[tuple[str, float], ...] = ()

    def __getitem__(self, parameter: str) -> float:
        return dict(self.parameters)[parameter]

    def __str__(self) -> str:
        numbers = "".join(f" {name}={value:g}" for name, value in self.parameters)
        return f"{self.second:6.1f} s  {self.name} {self.victim}{numbers}"


def draw_schedule(seed: int, kinds: Iterable[Kind], *, number: int, gap: Bounds, first: float = 0.0) -> list[Fault]:
    """Draw ``number`` faults; each kind comes once before any comes twice.

    Args:
        seed: of the drawing.
        kinds: to draw from; their order does not matter.
        number: of faults.
        gap: least and most seconds from the beginning of one to the beginning of the next.
        first: seconds before the first.
    """
    random = Random(seed)
    deck = _shuffled_for_ever(sorted(kinds, key=lambda kind: kind.name), random)
    second, faults = first, []
    for _ in range(number):
        kind = next(deck)
        parameters = tuple((name, round(random.uniform(*bounds), 2)) for name, bounds in kind.parameters)
        faults.append(Fault(round(second, 1), kind.name, random.choice(kind.victims), parameters))
        second += random.uniform(*gap)
    return faults


def _shuffled_for_ever(kinds: Sequence[Kind], random: Random) -> Iterator[Kind]:
    while True:
        yield from random.sample(kinds, len(kinds))
