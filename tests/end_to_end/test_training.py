"""A finished dataset starts a training; its model registers itself, and a job runs with it. On the real servers."""

from __future__ import annotations

import json

import pytest

from tests.end_to_end.line import Line

pytestmark = [pytest.mark.services, pytest.mark.slow, pytest.mark.torch, pytest.mark.timeout(600)]

SOURCE = "photographs"


def test_a_dataset_trains_a_model_that_registers_itself_and_runs_in_a_job(line: Line, upload, bucket) -> None:
    good, _ = upload(12)
    line.start("discover", "preprocess", "segment", "catalogue", "project", "train")
    source = f"s3://{bucket}/{SOURCE}/"
    line.cli("submit", source, "--dataset", "discs", "--job", "teacher", "--model", "test-threshold")
    line.wait(lambda: line.complete("teacher"), 120, "the teacher's job is complete")
    snapshot = json.loads(line.cli("datasets", "snapshot", "discs", "--json").stdout)["id"]
    asked = ("train", "--dataset", f"snapshot:{snapshot[:12]}", "--name", "pupil", "--side", "64", "--epochs", "2")
    first, again = (json.loads(line.cli(*asked, "--submit", "--json").stdout) for _ in range(2))
    assert first == again, "the same question is the same training"

    def models() -> list[dict]:
        return [model for model in json.loads(line.cli("models", "list", "--json").stdout) if model["kind"] == "fpn"]

    line.wait(lambda: bool(models()), 300, "the model is registered")
    (model,) = models()
    assert model["dataset"] == snapshot
    assert model["base"] == "efficientnet_lite0"
    assert model["metrics"]["mean_iou"] > 0
    line.cli("evaluate", "--model", "pupil", "--dataset", f"snapshot:{snapshot}", "--record")
    line.cli("submit", source, "--dataset", "discs", "--job", "pupil", "--model", "pupil")
    line.wait(lambda: line.complete("pupil"), 180, "the pupil's job is complete")
    status = line.status("pupil")
    assert (status["model"], status["counts"]["catalogued"]) == (model["model"], len(good))
    shown = json.loads(line.cli("models", "show", "pupil", "--json").stdout)
    assert [one["dataset"] for one in shown["evaluations"]] == [snapshot]
    assert shown["evaluations"][0]["images"] == len(good)
    assert "nothing is off" in line.cli("audit", "pupil").stdout
    codes = {name: worker.stop() for name, worker in line.workers.items()}
    assert codes == dict.fromkeys(codes, 0)
