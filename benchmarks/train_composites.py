"""``python -m benchmarks.train_composites``: how good a model `watson train` makes of 800 composites, and how soon.

Photographic cut-outs with exact alpha, twelve categories, are pasted on photographs; four in five pictures are to train
with. Measured outside this project on such composites, with one core: 178 s in all, mean IoU 0.444 (with background),
foreground IoU 0.728; with a random frozen network 0.069.

Three rows, each on held-out pictures whose backgrounds no training picture has:

* ``composites``: the cut-outs are those of the training pictures, in other places, sizes and turns; with its seconds.
* ``new cut-outs``: neither the backgrounds nor the cut-outs were in any training picture.
* ``random network``: as the first, but the frozen network was never trained: what the head alone can do.
"""

from __future__ import annotations

import argparse
import json
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


def say(row: str, found: Trained, note: str) -> None:
    """One line of the result."""
    one = found.evaluation
    print(
        f"{row:<16}{one.mean_iou:>8.3f}{one.foreground_iou:>12.3f}{one.mean_iou_without_background:>14.3f}"
        f"{one.ap or 0:>8.3f}{one.ap50 or 0:>8.3f}   {note}",
        flush=True,
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=800)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="keep the model of the first row here, for a job to name")
    parser.add_argument("--first", action="store_true", help="the first row alone")
    chosen = parser.parse_args()
    options = replace(OPTIONS, seed=chosen.seed)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    cut_outs, grounds = stamps(), Parts.of(backgrounds(), chosen.seed)
    shared = Parts(cut_outs, cut_outs)
    print(
        f"{chosen.pictures} composites of {OPTIONS.side} px, {len(cut_outs)} cut-outs of {len(FOLDERS)} categories, "
        f"{len(grounds.training)} backgrounds and {len(grounds.held_out)} held out; one thread\n\n"
        f"{'':<16}{'mean IoU':>8}{'foreground':>12}{'without back.':>14}{'AP':>8}{'AP50':>8}",
        flush=True,
    )
    with TemporaryDirectory() as name:
        place = Path(name)
        first = chosen.out or place / "model"
        wall, cpu = time.perf_counter(), time.process_time()
        pictures = Pictures.write(place / "composites", chosen.pictures, shared, grounds, chosen.seed)
        made = time.process_time() - cpu
        found = trained(pictures, first, options)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        say("composites", found, f"{wall:.0f} s, {cpu:.0f} s of CPU in all, {made:.0f} s of them to make the pictures")
        if not chosen.first:
            apart = by_category(cut_outs, chosen.seed)
            others = Pictures.write(place / "new", chosen.pictures, apart, grounds, chosen.seed)
            new = trained(others, place / "new-model", options)
            say("new cut-outs", new, f"{len(apart.training)} cut-outs to train with, {len(apart.held_out)} held out")
            network = random_network(chosen.seed)
            control = trained(pictures, place / "control", options, network)
            say("random network", control, "")
    print("\n" + json.dumps(found.evaluation.to_json()["metrics"]))


if __name__ == "__main__":
    main()
