"""A job with a model of one's own, through Kafka: registered, submitted by name, exported, and compared with the truth.

On a real Kafka where there is a JDK for one (that of the tests), else with the embedded broker of `watson run`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.end_to_end.line import Line
from tests.services import Kafka
from tests.services.report import ServiceError
from watson.training.confusion import Confusion
from watson.training.readers import read_dataset

_JOB = "own-model"
_SECONDS = 900.0


@dataclass(frozen=True)
class JobResult:
    """What came out of the job: IoU as `watson evaluate` has it, over the exported masks; ``where`` is the broker."""

    model: str
    where: str
    pictures: int
    masks: int
    mean_iou: float
    foreground_iou: float
    seconds: float


def run_job(model: Path, truth: Path, folder: Path) -> JobResult:
    """Run a job over the pictures of a COCO file, and compare what it exports with that file.

    Args:
        model: ``model.json`` of `watson train`.
        truth: a COCO file with the pictures in ``images/`` beside it.
        folder: an empty directory to work in.
    """
    began, out = time.perf_counter(), folder / "exported"
    pictures = truth.parent / "images"
    try:
        kafka = Kafka(folder / "kafka")
        kafka.start()
    except ServiceError as exc:
        print(f"no Kafka: {exc}", file=sys.stderr)
        command = [sys.executable, "-m", "watson", "run", str(pictures), "--out", str(out), "--model", str(model)]
        subprocess.run(command, check=True, capture_output=True)
        where = "embedded broker"
    else:
        try:
            _on_kafka(kafka.endpoint.brokers, model, pictures, out, folder)
        finally:
            kafka.kill()
        where = "Kafka"
    seconds = time.perf_counter() - began
    document = json.loads((out / "annotations" / "instances.json").read_bytes())
    mean_iou, foreground_iou = _compared(truth, out)
    named = document["images"][0]["watson"]["model"]
    masks = len(document["annotations"])
    return JobResult(named, where, len(document["images"]), masks, mean_iou, foreground_iou, seconds)


def _on_kafka(brokers: str, model: Path, pictures: Path, out: Path, folder: Path) -> None:
    environment = {
        "WATSON_BROKERS": brokers,
        "WATSON_PARTITIONS": "2",
        "WATSON_OBJECTS": f"file:{folder / 'objects'}",
        "WATSON_CATALOGUE": f"sqlite:{folder / 'catalogue.db'}",
        "WATSON_MODELS_DIR": str(folder / "models"),
    }
    with Line(environment, folder) as line:
        name = json.loads(line.cli("models", "add", str(model), "--json").stdout)["model"].partition("@")[0]
        line.start("discover", "preprocess", "segment", "catalogue", "project")
        line.cli("submit", str(pictures), "--dataset", "own", "--job", _JOB, "--model", name)
        line.wait(lambda: line.complete(_JOB), _SECONDS, "the job is complete")
        line.cli("export", _JOB, "--out", str(out), seconds=_SECONDS)


def _compared(truth: Path, out: Path) -> tuple[float, float]:
    """(mean IoU with background, foreground IoU) of the exported masks."""
    wanted, found = read_dataset(truth), read_dataset(out)
    numbers = np.zeros(len(found.categories) + 1, np.int64)  # of an exported category in the truth; 0 is background
    for number, name in enumerate(found.categories, start=1):
        numbers[number] = wanted.categories.index(name) + 1
    exported = {Path(sample.name).stem: sample for sample in found.samples}
    confusion = Confusion(len(wanted.categories))
    for sample in wanted.samples:
        labels, _ = sample.truth()
        seen, _ = exported[Path(sample.name).stem].truth()
        confusion.add(labels, numbers[seen])
    return confusion.mean_iou(), confusion.foreground_iou()
