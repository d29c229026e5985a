"""``make train``: a model of one's own from labelled pictures to a dataset: composites, training, registration, a job.

What `benchmarks.train_composites` measures in its first row, and then what a user would do with the model: register it,
submit a job with it by name, through Kafka, and export. The exported masks are compared with the exact truth: the job's
numbers are those of the evaluation, but that rules kept doubtful and small masks out of the dataset.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import torch

from benchmarks.own_job import run_job
from benchmarks.train_composites import OPTIONS, ROWS, measure


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=800)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    with TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
        folder = Path(temporary)
        print(f"making {chosen.pictures} composites and training on four in five of them; some minutes", flush=True)
        print(f"{'':<16}{'mean IoU':>9}{'foreground':>12}{'AP':>8}{'AP50':>8}{'CPU s':>9}{'wall s':>9}", flush=True)
        print(measure(ROWS[0], chosen.pictures, folder / "training", replace(OPTIONS, seed=chosen.seed)), flush=True)
        (folder / "job").mkdir()
        truth = folder / "training" / "pictures" / "held-out" / "instances.json"
        job = run_job(folder / "training" / "model" / "model.json", truth, folder / "job")
    print(
        f"{'the job':<16}{job.mean_iou:>9.3f}{job.foreground_iou:>12.3f}{'':>25}{job.seconds:>9.0f}   "
        f"{job.pictures} pictures, {job.masks} masks by {job.model}, {job.where}: registered, submitted, exported"
    )


if __name__ == "__main__":
    main()
