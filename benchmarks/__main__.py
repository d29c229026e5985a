"""``make bench``: the model's own rate, the pipeline's rate, their ratio, and the cost of an event; in one run.

The machine's speed drifts, so quote the ratio: both rates are of the same minutes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import loop
from benchmarks.photographs import write_photographs


def model_rate(folder: Path) -> float:
    """In a process of its own: torch's threads are a setting of the process."""
    code = f"from pathlib import Path; from benchmarks.model import measure; print(measure(Path({str(folder)!r})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def pipeline(folder: Path, out: Path) -> tuple[dict, float]:
    """A whole ``watson run``: (its summary, wall seconds from the command to the gallery)."""
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "watson", "run", str(folder), "--out", str(out), "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        sys.exit(f"watson run failed ({done.returncode}):\n{done.stderr[-3000:]}")
    return json.loads(done.stdout), time.perf_counter() - began


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--pictures", type=int, default=200)
    options.add_argument("--events", type=int, default=5000)
    chosen = options.parse_args()
    cores = os.cpu_count()
    print(f"{platform.machine()}, {cores} cores, Python {platform.python_version()}")
    with TemporaryDirectory() as name:
        folder = Path(name) / "photographs"
        total = write_photographs(folder, chosen.pictures)
        print(f"{chosen.pictures} photographs, long side 1024 px, {total / chosen.pictures / 1000:.0f} kB each")
        before = model_rate(folder)
        summary, wall = pipeline(folder, Path(name) / "dataset")
        few = Path(name) / "few"
        write_photographs(few, 1)
        _, fixed = pipeline(few, Path(name) / "few-dataset")
        after = model_rate(folder)
    model = (before + after) / 2
    steady = (chosen.pictures - 1) / (wall - fixed)
    print(f"model alone, one core       {model:8.2f} pictures/s   ({before:.2f} before, {after:.2f} after)")
    print(f"pipeline, whole command     {summary['discovered'] / wall:8.2f} pictures/s   ({wall:.1f} s)")
    print(f"pipeline, less start + stop {steady:8.2f} pictures/s   (start and stop: {fixed:.1f} s)")
    print(f"ratio pipeline / model      {steady / model:8.2f}              (all {cores} cores against one)")
    seconds = asyncio.run(loop.measure(chosen.events))
    where = os.environ.get("WATSON_BROKERS", "the embedded broker")
    print(f"Kafka loop, one worker      {1 / seconds:8.0f} events/s     ({seconds * 1e3:.2f} ms an event, on {where})")


if __name__ == "__main__":
    main()
