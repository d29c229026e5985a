"""``make bench``: the model's own rate, the pipeline's rate, their ratio, and the cost of an event; in one run.

The machine's speed drifts, so quote the ratios: all rates are of the same minutes. The cost of an event is measured on
a real Kafka where there is a JDK for one (that of the tests), and on the embedded broker.
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
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import loop
from benchmarks.photographs import write_photographs
from tests.services import Kafka
from tests.services.report import ServiceError


def model_rates(folder: Path) -> tuple[float, float]:
    """Forward passes and whole segmentations a second; in a process of its own, for torch's threads are its setting."""
    code = f"from pathlib import Path; from benchmarks.model import measure; print(*measure(Path({str(folder)!r})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    forward, segment = done.stdout.split()[-2:]
    return float(forward), float(segment)


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


@contextmanager
def brokers() -> Iterator[dict[str, str | None]]:
    """What the loop is measured on: name → address; None for the embedded broker, started when its turn comes."""
    if "WATSON_BROKERS" in os.environ:
        yield {os.environ["WATSON_BROKERS"]: os.environ["WATSON_BROKERS"]}
        return
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        kafka = Kafka(Path(folder))
        try:
            kafka.start()
        except ServiceError as exc:
            print(f"no Kafka: {exc}", file=sys.stderr)
            yield {"the embedded broker": None}
            return
        try:
            yield {"Kafka": kafka.endpoint.brokers, "the embedded broker": None}
        finally:
            kafka.kill()


def main() -> None:
    """Measure and print."""
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
        before = model_rates(folder)
        summary, wall = pipeline(folder, Path(name) / "dataset")
        few = Path(name) / "few"
        write_photographs(few, 1)
        _, fixed = pipeline(few, Path(name) / "few-dataset")
        after = model_rates(folder)
    forward, segment = ((one + other) / 2 for one, other in zip(before, after, strict=True))
    whole = summary["discovered"] / wall
    steady = (chosen.pictures - 1) / (wall - fixed)
    drift = [f"one core; {one:.2f} before, {other:.2f} after" for one, other in zip(before, after, strict=True)]
    say("model, forward passes alone", f"{forward:8.2f} pictures/s", drift[0])
    say("model, with outlines", f"{segment:8.2f} pictures/s", drift[1])
    say("pipeline, end to end", f"{whole:8.2f} pictures/s", f"all {cores} cores; the whole command: {wall:.1f} s")
    say("pipeline, less start + stop", f"{steady:8.2f} pictures/s", f"start and stop: {fixed:.1f} s")
    say("end to end / forward", f"{whole / forward:8.2f}", f"less start and stop: {steady / forward:.2f}")
    say("end to end / with outlines", f"{whole / segment:8.2f}", f"less start and stop: {steady / segment:.2f}")
    with brokers() as places:
        for where, address in places.items():
            seconds = asyncio.run(loop.measure(chosen.events, address))
            say(
                "Kafka loop, one worker", f"{1 / seconds:8.0f} events/s", f"{seconds * 1e3:.2f} ms an event, on {where}"
            )


def say(what: str, number: str, note: str) -> None:
    """One line of the result."""
    print(f"{what:<28}{number:<20} ({note})", flush=True)


if __name__ == "__main__":
    main()
