"""Which pictures go through a network together, and what the CPU does meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TypeVar

__all__ = ["batches", "overlapped"]

Launched = TypeVar("Launched")
Result = TypeVar("Result")


def batches(sizes: Sequence[Hashable], *, alone: bool) -> list[list[int]]:
    """Return the places of pictures that go together: those of one input size.

    Args:
        sizes: of each picture's input.
        alone: each picture by itself. On CPU, where a batch is no faster, and the result must depend on nothing but
            the picture.
    """
    if alone:
        return [[place] for place in range(len(sizes))]
    groups: dict[Hashable, list[int]] = {}
    for place, size in enumerate(sizes):
        groups.setdefault(size, []).append(place)
    return list(groups.values())


def overlapped(
    groups: Sequence[list[int]],
    launch: Callable[[list[int]], Launched],
    collect: Callable[[list[int], Launched], Iterable[Result]],
) -> list[Result]:
    """Return what ``collect`` makes of each picture, in the pictures' order.

    The next batch is launched before the last one is collected: on a GPU, which works on its own until somebody asks
    for the result, masks of one batch are made while the network sees the next.

    Args:
        groups: the places of each batch; together 0 to n - 1.
        launch: starts the network on the pictures at these places.
        collect: waits for what was launched; one result a place.
    """
    results: dict[int, Result] = {}
    waiting: tuple[list[int], Launched] | None = None
    for places in groups:
        launched = launch(places)
        if waiting is not None:
            results.update(zip(waiting[0], collect(*waiting), strict=True))
        waiting = places, launched
    if waiting is not None:
        results.update(zip(waiting[0], collect(*waiting), strict=True))
    return [results[place] for place in range(len(results))]
