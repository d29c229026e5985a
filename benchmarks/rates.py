"""``python -m benchmarks.rates``: how to use the cores for the default model, and what torchvision's networks cost.

The first table answers whether segment should run as one process with several threads, or as several processes with
one each: rates of the same minute, so quote the ratio. The second has random weights, which cost what trained ones do
(but for Mask R-CNN, whose cost grows with what it finds: here the most that it may).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torchvision.models import segmentation as networks

from benchmarks.model import PICTURES, pictures, segment_rate
from benchmarks.photographs import write_photographs
from watson.events import DEFAULT_MODEL
from watson.model.kinds import kind_named
from watson.model.registry import load
from watson.model.segmenter import ModelInfo

NETWORKS = ("lraspp_mobilenet_v3_large", "deeplabv3_mobilenet_v3_large", "deeplabv3_resnet50")


def default_rate(folder: Path, threads: int, seconds: float) -> float:
    """Pictures a second of the default model in this process."""
    segmenter = load(DEFAULT_MODEL, device="cpu", torch_threads=threads)
    return segment_rate(segmenter, pictures(folder, PICTURES), seconds)


def side_by_side(folder: Path, processes: int, threads: int, seconds: float) -> float:
    """Pictures a second of all processes together."""
    code = (
        "import sys; from pathlib import Path; from benchmarks.rates import default_rate;"
        "print(default_rate(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))"
    )
    command = [sys.executable, "-c", code, str(folder), str(threads), str(seconds)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(processes)]
    return sum(float(process.communicate()[0]) for process in running)


def network_seconds(architecture: str, folder: Path) -> float:
    """Processor seconds a picture of 1024 × 683 pixels, on one thread."""

    torch.manual_seed(0)
    torch.set_num_threads(1)
    network = getattr(networks, architecture)(weights=None, weights_backbone=None, num_classes=21)
    file = folder / f"{architecture}.pth"
    torch.save({name: tensor for name, tensor in network.state_dict().items() if "aux" not in name}, file)
    made = folder / architecture
    made.mkdir()
    kind = kind_named("torchvision")
    prepared = kind.prepare({"architecture": architecture}, file, made)
    info = ModelInfo("random", "0", "torchvision", "0" * 64, prepared.categories)
    segmenter = kind.load(info, prepared.configuration, prepared.weights, device="cpu", torch_threads=1)
    picture = np.random.default_rng(0).integers(0, 256, (683, 1024, 3)).astype(np.uint8)
    segmenter.segment([picture])
    began = time.process_time()
    segmenter.segment([picture] * 3)
    return (time.process_time() - began) / 3


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0)
    chosen = parser.parse_args()
    cores = os.cpu_count() or 1
    with TemporaryDirectory() as name:
        folder = Path(name) / "photographs"
        write_photographs(folder, PICTURES)
        alone = side_by_side(folder, 1, 1, chosen.seconds)
        threads = side_by_side(folder, 1, cores, chosen.seconds)
        processes = side_by_side(folder, cores, 1, chosen.seconds)
        print(f"{DEFAULT_MODEL}, pictures/s: one thread {alone:.1f}")
        print(f"  one process with {cores} threads {threads:.1f} ({threads / alone:.2f} ×)")
        print(f"  {cores} processes with one thread each {processes:.1f} ({processes / alone:.2f} ×)")
        for architecture in NETWORKS:
            print(f"{architecture}: {network_seconds(architecture, Path(name)):.2f} s a picture", flush=True)


if __name__ == "__main__":
    main()
