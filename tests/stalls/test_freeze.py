"""A worker that is alive, in its group, answers its pages and consumes nothing: it is seen, it ends, it is replaced."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.end_to_end.conftest import picture
from tests.end_to_end.line import Worker
from tests.limits.backlog import Backlog
from tests.limits.flood import flood
from tests.services import KafkaEndpoint
from tests.services.process import tail, wait_until
from tests.stalls.freezer import Freezer
from watson.agents.topics import create_topics
from watson.settings import Settings

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

STALL_SECONDS = 8
PICTURES = 6


def live(port: int) -> tuple[int, dict]:
    """Status and document of the liveness probe; (0, {}) where nobody answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/live", timeout=3) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as refused:
        return refused.code, json.loads(refused.read())
    except OSError:
        return 0, {}


@pytest.mark.services
def test_a_frozen_worker_fails_its_liveness_probe_and_then_ends_with_75(
    kafka: KafkaEndpoint, topic_prefix: str, tmp_path: Path
) -> None:
    where = {"objects": f"file:{tmp_path / 'objects'}", "catalogue": f"sqlite:{tmp_path / 'catalogue.db'}"}
    settings = Settings(brokers=kafka.brokers, topic_prefix=topic_prefix, partitions=4, **where)
    asyncio.run(create_topics(settings))
    freezer = Freezer(tmp_path, "catalogue")
    environment = {f"WATSON_{name.upper()}": str(getattr(settings, name)) for name in ("brokers", "topic_prefix")}
    environment |= {"WATSON_PARTITIONS": "4", "WATSON_STALL_TIMEOUT": str(STALL_SECONDS), **freezer.environment}
    worker = Worker("catalogue", "catalogue-0", environment, tmp_path)
    try:
        assert wait_until(lambda: _frozen(worker, freezer), seconds=90), tail(worker.log)
        assert live(worker.port)[0] == 200, "without lag it is not stalled, frozen or not"
        asyncio.run(flood(settings, Backlog(settings, tmp_path).of_each_role(20)))
        assert wait_until(lambda: _says_that_it_is_stalled(worker.port), seconds=60), tail(worker.log)
        assert worker.process.poll() is None, "the probe is to fail while it lives"
        assert worker.process.wait(timeout=60) == 75
        assert "there is work and nothing moves" in worker.log.read_text()
        worker.restart()
        assert wait_until(lambda: worker.ready() and _idle(worker.port), seconds=60), tail(worker.log)
    finally:
        worker.kill()


def _says_that_it_is_stalled(port: int) -> bool:
    status, said = live(port)
    return status == 503 and any("messages wait" in problem for problem in said["problems"])


def _frozen(worker: Worker, freezer: Freezer) -> bool:
    """Supervised, as any worker: a broker under load may turn one away at its start."""
    if freezer.frozen is None and worker.process.poll() is not None:
        worker.restart()
    return freezer.frozen is not None


def _idle(port: int) -> bool:
    status, said = live(port)
    return status == 200 and said["stalled_for"] == 0


def test_watson_run_starts_a_frozen_worker_again_and_the_job_is_completed(tmp_path: Path) -> None:
    source = tmp_path / "photographs"
    source.mkdir()
    for number in range(PICTURES):
        (source / f"{number}.jpg").write_bytes(picture(number))
    freezer = Freezer(tmp_path, "segment")
    progress = tmp_path / "progress.jsonl"
    command = [sys.executable, "-m", "watson", "run", str(source), "--out", str(tmp_path / "out"), "--json"]
    with progress.open("wb") as errors:
        run = subprocess.Popen(
            [*command, "--model", "test-threshold"],
            stdout=subprocess.PIPE,
            stderr=errors,
            env={**os.environ, "WATSON_STALL_TIMEOUT": str(STALL_SECONDS), **freezer.environment},
        )
    try:
        assert wait_until(lambda: freezer.frozen is not None, seconds=120), progress.read_text()
        port = _port_of(freezer.frozen)
        assert wait_until(lambda: _says_that_it_is_stalled(port), seconds=120), progress.read_text()
        out, _ = run.communicate(timeout=240)
    finally:
        run.kill()
        run.communicate()
    assert run.returncode == 0, progress.read_text()[-3000:]
    assert "segment ended with exit code 75; starts again" in progress.read_text()
    summary = json.loads(out)
    assert (summary["discovered"], summary["catalogued"]) == (PICTURES, PICTURES)


def _port_of(pid: int | None) -> int:
    """The port of a worker's pages: from its environment, for `watson run` chooses it."""
    variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    (port,) = [text.partition(b"=")[2] for text in variables if text.startswith(b"WATSON_WEB_PORT=")]
    return int(port)
