"""``python -m benchmarks.train_composites``: how good a model `watson train` makes of 800 composites, and how soon.

Photographic cut-outs with exact alpha, twelve categories, are pasted on photographs; four in five pictures are to train
with. Measured outside this project on such composites, with one core: 178 s in all, mean IoU 0.444 (with background),
foreground IoU 0.728; with a random frozen network 0.069.

Four rows, each a training of its own, measured on the held-out pictures:

* ``composites``: cut-outs and backgrounds are those of the training pictures, in other places, sizes, turns and pairs.
  What was measured outside held out composites, too; whether they shared backgrounds and cut-outs is not known.
* ``new backgrounds``: no training picture has their backgrounds.
* ``new cut-outs``: no training picture has their backgrounds or their cut-outs.
* ``random network``: as the first, but the frozen network was never trained: what the head alone can do.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
import torch
from torch import nn

from benchmarks.composites import FOLDERS, Stamp, backgrounds, stamps, write_composites
from watson.model.backbones import base_named, pretrained
from watson.training.options import TrainingOptions
from watson.training.place import TrainingPlace
from watson.training.readers import read_dataset
from watson.training.train import Trained, train

HELD_OUT = 0.2
OPTIONS = TrainingOptions(epochs=16, variants=3)
ROWS = ("composites", "new backgrounds", "new cut-outs", "random network")


@dataclass(frozen=True)
class Parts:
    """Cut-outs or backgrounds: those to train with, and those held out."""

    training: list
    held_out: list

    @classmethod
    def of(cls, things: Sequence, seed: int) -> Parts:
        """One in five is held out, at least one."""
        order = np.random.default_rng(seed).permutation(len(things))
        number = max(1, round(HELD_OUT * len(things)))
        return cls([things[place] for place in order[number:]], [things[place] for place in order[:number]])


def by_category(cut_outs: Sequence[Stamp], seed: int) -> Parts:
    """Of each category one cut-out in five is held out."""
    each = [Parts.of([one for one in cut_outs if one.category == number], seed) for number in range(len(FOLDERS))]
    return Parts([one for part in each for one in part.training], [one for part in each for one in part.held_out])


@dataclass(frozen=True)
class Pictures:
    """Composites on disk."""

    training: Path
    held_out: Path

    @classmethod
    def write(cls, folder: Path, number: int, cut_outs: Parts, grounds: Parts, seed: int) -> Pictures:
        """``number`` pictures, one in five held out; the seeds of the two parts differ."""
        held_out = round(HELD_OUT * number)
        side = OPTIONS.side
        return cls(
            write_composites(folder / "training", number - held_out, side, seed, cut_outs.training, grounds.training),
            write_composites(folder / "held-out", held_out, side, seed + 1000, cut_outs.held_out, grounds.held_out),
        )


def random_network(seed: int) -> nn.Module:
    """The base as it is before any training."""
    torch.manual_seed(seed)
    return base_named(OPTIONS.base).build().requires_grad_(requires_grad=False).eval()


def trained(pictures: Pictures, folder: Path, options: TrainingOptions, network: nn.Module | None = None) -> Trained:
    """What `watson train --held-out-dataset` does."""
    return train(
        read_dataset(pictures.training),
        read_dataset(pictures.held_out),
        TrainingPlace(folder),
        options,
        name="composites",
        backbone=network or pretrained(base_named(options.base)),
    )


def measure(row: str, number: int, folder: Path, options: TrainingOptions) -> str:
    """Make the pictures, train, evaluate; one line of the result."""
    wall, cpu = time.perf_counter(), time.process_time()
    cut_outs, grounds = stamps(), backgrounds()
    parts = by_category(cut_outs, options.seed) if row == "new cut-outs" else Parts(cut_outs, cut_outs)
    places = Parts.of(grounds, options.seed) if row.startswith("new") else Parts(grounds, grounds)
    pictures = Pictures.write(folder / "pictures", number, parts, places, options.seed)
    made = time.process_time() - cpu
    network = random_network(options.seed) if row == "random network" else None
    found = trained(pictures, folder / "model", options, network)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    one = found.evaluation
    return (
        f"{row:<16}{one.mean_iou:>9.3f}{one.foreground_iou:>12.3f}{one.ap or 0:>8.3f}{one.ap50 or 0:>8.3f}"
        f"{cpu:>9.0f}{wall:>9.0f}   of the CPU {made:.0f} s to make the pictures; epoch {found.best_epoch}"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=800)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=ROWS, metavar="ROW")
    parser.add_argument("--out", type=Path, help="keep pictures and models in this folder, for a job to use")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    print(f"{chosen.pictures} composites of {OPTIONS.side} px, {len(FOLDERS)} categories; one thread\n")
    print(f"{'':<16}{'mean IoU':>9}{'foreground':>12}{'AP':>8}{'AP50':>8}{'CPU s':>9}{'wall s':>9}", flush=True)
    with TemporaryDirectory() as temporary:
        for row in chosen.rows:
            folder = (chosen.out or Path(temporary)) / row.replace(" ", "-")
            print(measure(row, chosen.pictures, folder, replace(OPTIONS, seed=chosen.seed)), flush=True)


if __name__ == "__main__":
    main()
