"""``python -m benchmarks.cam_quality``: is the default model as good as it was, and how much faster is it?

Two versions of the code, this one and that of a git revision, see the same pictures in turn: cut-outs with known
outlines (``benchmarks.cut_outs``), and photographs of ImageNet with known names. Quote the ratio of the rates.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.cut_outs import NAMES, cut_outs
from watson.errors import UserError
from watson.model import imagenet

ROOT = Path(__file__).parents[1]
FIRST = "554d135"
"""The last commit with the first version of the model (``Configuration.algorithm`` 1)."""
LARGE_SIDE = 1024
"""Pixels of the long side at which the rate is measured: what ``preprocess`` hands to the model by default."""

_HALF = 320
_PAIRS = 40


@dataclass(frozen=True, slots=True)
class Answer:
    """What one version said of one picture.

    Attributes:
        masks: (N, H, W) bool, best first; one empty mask where none was found.
        named: the masks' classes.
        best: the five likeliest classes.
        seconds: of the process's time.
    """

    masks: NDArray[np.bool_]
    named: list[int]
    best: list[int]
    seconds: float


class Version:
    """One version of the model, in a process of its own."""

    def __init__(self, name: str, code: Path) -> None:
        """Start the process with the ``watson`` that lies in ``code``."""
        self.name = name
        self._process = subprocess.Popen(
            [sys.executable, ROOT / "benchmarks" / "cam_worker.py", name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(code), "OMP_NUM_THREADS": "1"},
        )

    def __call__(self, path: Path) -> Answer:
        """Segment the picture in a ``.npy`` file."""
        assert self._process.stdin is not None  # noqa: S101 - for the type checker: opened above
        assert self._process.stdout is not None  # noqa: S101 - ditto
        self._process.stdin.write(f"{path}\n")
        self._process.stdin.flush()
        if not (line := self._process.stdout.readline()):
            raise UserError(f"The process that runs the model's {self.name} version ended: see above")
        said = json.loads(line)
        with np.load(path.with_suffix(f".{self.name}.npz")) as saved:
            masks = saved["arr_0"]
        return Answer(masks, said["named"], said["best"], said["seconds"])

    def stop(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()


@contextmanager
def versions(revision: str) -> Iterator[tuple[Version, Version]]:
    """The model as it was at ``revision``, and as it is."""
    with TemporaryDirectory() as folder:
        archive = subprocess.run(["git", "archive", revision, "watson"], cwd=ROOT, capture_output=True, check=False)
        if archive.returncode != 0:
            raise UserError(f"git archive {revision} failed: {archive.stderr.decode().strip()}. Choose with --against")
        subprocess.run(["tar", "-x", "-C", folder], input=archive.stdout, check=True)
        both = Version("old", Path(folder)), Version("new", ROOT)
        try:
            yield both
        finally:
            for one in both:
                one.stop()


def ask(both: Sequence[Version], pictures: Iterator[NDArray[np.uint8]], folder: Path) -> list[list[Answer]]:
    """Each picture by both in turn, who is first changing each time: one list a version."""
    answers: dict[str, list[Answer]] = {one.name: [] for one in both}
    for index, picture in enumerate(pictures):
        path = folder / "picture.npy"
        np.save(path, picture)
        for one in both if index % 2 else both[::-1]:
            answers[one.name].append(one(path))
    return [answers[one.name] for one in both]


def overlap(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Intersection over union; 0 where both are empty."""
    return float((one & other).sum() / max(1, (one | other).sum()))


def row(name: str, values: Sequence[float]) -> None:
    """Print a line: what, old, new."""
    print(f"{name:<44}" + "".join(f"{value:>10.3f}" for value in values), flush=True)


def outlines(both: Sequence[Version], folder: Path, seed: int, number: int) -> None:
    """Measure against known outlines, and print."""
    truths: list[NDArray[np.bool_]] = []
    things: list[str] = []

    def pictures() -> Iterator[NDArray[np.uint8]]:
        for one in cut_outs(seed, number):
            truths.append(one.truth)
            things.append(one.name)
            yield one.picture

    answers = ask(both, pictures(), folder)
    print(f"{number} cut-outs, seed {seed}: intersection over union with the truth")
    measures = {
        "all masks together": lambda masks: masks.any(axis=0),
        "the best mask": lambda masks: masks[0],
    }
    for name, chosen in measures.items():
        overlaps = np.array(
            [[overlap(chosen(one.masks), truth) for one, truth in zip(some, truths, strict=True)] for some in answers]
        )
        row(f"{name}, mean", overlaps.mean(axis=1))
        difference = overlaps[1] - overlaps[0]
        print(f"{'  new - old, and its standard error':<54}{difference.mean():>+10.3f}{error(difference):>10.3f}")
        row(f"{name}, median", np.median(overlaps, axis=1))
        row(f"{name}, share above 0.5", (overlaps > 0.5).mean(axis=1))
        row(f"{name}, share above 0.8", (overlaps > 0.8).mean(axis=1))
    row("masks a picture", [np.mean([len(one.named) for one in some]) for some in answers])
    categories = imagenet.categories()
    known = [place for place, name in enumerate(things) if name in NAMES]
    right = [{categories.index(name) for name in NAMES[things[place]]} for place in known]
    for first in (1, 5):
        row(
            f"right name among the first {first} ({len(known)} pictures)",
            [
                np.mean(
                    [
                        not labels.isdisjoint(some[place].best[:first])
                        for place, labels in zip(known, right, strict=True)
                    ]
                )
                for some in answers
            ],
        )
    agree = np.mean([one.best[0] == other.best[0] for one, other in zip(*answers, strict=True)])
    print(f"{'best class the same':<54}{agree:>10.3f}")


def error(values: NDArray[np.float64]) -> float:
    """The standard error of the mean."""
    return float(values.std(ddof=1) / np.sqrt(len(values)))


def names(both: Sequence[Version], folder: Path, repetitions: int) -> None:
    """Measure against known names, and the rate at full size; print both."""
    paths = _imagenet()
    labels = [int(path.stem.split("_")[2]) for path in paths]
    answers = ask(both, (photograph(path) for _ in range(repetitions) for path in paths), folder)
    print(f"{len(paths)} photographs of ImageNet")
    for first in (1, 5):
        row(
            f"right name among the first {first}",
            [
                np.mean([label in one.best[:first] for label, one in zip(labels, some, strict=False)])
                for some in answers
            ],
        )
    print(f"{repetitions} × {len(paths)} photographs, long side {LARGE_SIDE} px, one thread")
    # The least of several: what else the machine does can only make it more.
    least = [np.array([one.seconds for one in some]).reshape(repetitions, -1).min(axis=0) for some in answers]
    rates = [len(paths) / some.sum() for some in least]
    row("pictures a second of processor time", rates)
    print(f"{'new / old':<54}{rates[1] / rates[0]:>10.2f}")


def pairs(both: Sequence[Version], folder: Path, number: int) -> None:
    """Measure on two photographs side by side, each of something else, and print."""
    paths, random = _imagenet(), np.random.default_rng(0)
    halves = [cv2.resize(photograph(path), (_HALF, _HALF), interpolation=cv2.INTER_AREA) for path in paths]
    labels = [int(path.stem.split("_")[2]) for path in paths]
    chosen = [tuple(random.choice(len(paths), 2, replace=False)) for _ in range(number)]
    answers = ask(both, (np.hstack([halves[left], halves[right]]) for left, right in chosen), folder)
    print(f"{number} pairs of photographs of ImageNet, side by side")
    found = [
        [[labels[place] in one.named for place in pair] for pair, one in zip(chosen, some, strict=True)]
        for some in answers
    ]
    row("both named right", [np.mean([all(pair) for pair in some]) for some in found])
    row("one at least named right", [np.mean([any(pair) for pair in some]) for some in found])
    row("masks that are named right", [_share_right(some, chosen, labels) for some in answers])


def _share_right(answers: Sequence[Answer], chosen: Sequence[tuple[int, ...]], labels: Sequence[int]) -> float:
    right = [
        name in {labels[place] for place in pair}
        for pair, one in zip(chosen, answers, strict=True)
        for name in one.named
    ]
    return float(np.mean(right))


def photograph(path: Path) -> NDArray[np.uint8]:
    """As ``preprocess`` would hand it on if it were large enough."""
    with Image.open(path) as image:
        picture = np.asarray(image.convert("RGB"))
    scale = LARGE_SIDE / max(picture.shape[:2])
    size = round(picture.shape[1] * scale), round(picture.shape[0] * scale)
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC))


def _imagenet() -> list[Path]:
    """foolbox's pictures: imagenet_<number>_<class>.jpg."""
    spec = find_spec("foolbox")
    roots = [Path(root) for root in (spec.submodule_search_locations or ())] if spec else []
    found = sorted(path for root in roots for path in (root / "data").glob("imagenet_*.jpg"))
    if not found:
        raise UserError("foolbox is not here. Do: pip install 'watson[demo]'")
    return found


def main() -> int:
    """Measure and print; returns the exit code."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--against", default=FIRST, metavar="REVISION", help="of git; default: the first version")
    options.add_argument("--number", type=int, default=200, help="of cut-outs")
    options.add_argument("--seed", type=int, default=2, help="1 is what the parameters were chosen on")
    options.add_argument("--repetitions", type=int, default=3, help="of the photographs whose rate is measured")
    chosen = options.parse_args()
    try:
        with versions(chosen.against) as both, TemporaryDirectory() as folder:
            row_of_names = "".join(f"{one.name:>10}" for one in both)
            print(f"{'':<44}{row_of_names}   (old: {chosen.against})")
            outlines(both, Path(folder), chosen.seed, chosen.number)
            pairs(both, Path(folder), _PAIRS)
            names(both, Path(folder), chosen.repetitions)
    except UserError as exc:
        print(f"cam_quality: {exc}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
