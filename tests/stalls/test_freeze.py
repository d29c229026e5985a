"""A worker that is alive, in its group, answers its pages and consumes nothing: it is seen, it ends, it is replaced."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from tests.end_to_end.conftest import picture
from tests.end_to_end.line import Worker
from tests.limits.backlog import Backlog
from tests.limits.flood import flood
from tests.services import KafkaEndpoint
from tests.services.process import tail, wait_until
from tests.stalls.freezer import Freezer
from watson.agents.ports import partition_of
from watson.agents.topics import create_topics
from watson.events import Event, encode
from watson.settings import Settings

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

STALL_SECONDS = 8
PICTURES = 6
SLOW_SECONDS = 0.5  # as `tests.stalls.freezer` has it


def live(port: int) -> tuple[int, dict]:
    """Status and document of the liveness probe; (0, {}) where nobody answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/live", timeout=3) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as refused:
        return refused.code, json.loads(refused.read())
    except OSError:
        return 0, {}


@dataclass
class Frozen:
    """A catalogue worker on a real broker that has frozen, and what can be sent to it."""

    worker: Worker
    settings: Settings
    backlog: Backlog

    def send(self) -> None:
        """Something for every partition; the same each time, which is work all the same: it is read and dropped."""
        asyncio.run(flood(self.settings, self.backlog.of_each_role(20)))

    def goes_on_after_a_restart(self) -> bool:
        self.worker.restart()
        return wait_until(lambda: self.worker.ready() and _idle(self.worker.port), seconds=60)


@contextmanager
def frozen(kafka: KafkaEndpoint, topic_prefix: str, folder: Path, way: str, **more: str) -> Iterator[Frozen]:
    where = {"objects": f"file:{folder / 'objects'}", "catalogue": f"sqlite:{folder / 'catalogue.db'}"}
    settings = Settings(brokers=kafka.brokers, topic_prefix=topic_prefix, partitions=4, **where)
    asyncio.run(create_topics(settings))
    freezer = Freezer(folder, "catalogue", way)
    environment = {f"WATSON_{name.upper()}": str(getattr(settings, name)) for name in ("brokers", "topic_prefix")}
    environment |= {"WATSON_PARTITIONS": "4", "WATSON_STALL_TIMEOUT": str(STALL_SECONDS), **freezer.environment}
    environment |= more
    worker = Worker("catalogue", "catalogue-0", environment, folder)
    try:
        assert wait_until(lambda: _has_frozen(worker, freezer), seconds=90), tail(worker.log)
        yield Frozen(worker, settings, Backlog(settings, folder))
    finally:
        worker.kill()


@pytest.mark.services
def test_a_frozen_worker_fails_its_liveness_probe_and_then_ends_with_75(
    kafka: KafkaEndpoint, topic_prefix: str, tmp_path: Path
) -> None:
    with frozen(kafka, topic_prefix, tmp_path, "all") as it:
        assert live(it.worker.port)[0] == 200, "without lag it is not stalled, frozen or not"
        it.send()
        assert wait_until(lambda: _says_that_it_is_stalled(it.worker.port), seconds=60), tail(it.worker.log)
        assert it.worker.process.poll() is None, "the probe is to fail while it lives"
        assert it.worker.process.wait(timeout=60) == 75
        assert "there is work and nothing moves" in it.worker.log.read_text()
        assert it.goes_on_after_a_restart(), tail(it.worker.log)


@pytest.mark.services
def test_a_worker_of_which_one_partition_is_frozen_ends_with_75_though_the_others_go_on(
    kafka: KafkaEndpoint, topic_prefix: str, tmp_path: Path
) -> None:
    with frozen(kafka, topic_prefix, tmp_path, "partition") as it:
        counts = []

        def ends() -> bool:
            it.send()
            counts.append(_committed(it.settings))
            return it.worker.process.poll() is not None

        assert wait_until(ends, seconds=90), tail(it.worker.log)
        assert it.worker.process.returncode == 75
        said = it.worker.log.read_text()
        assert f"{topic_prefix}segmented/0" in said
        assert not any(f"{topic_prefix}segmented/{partition}'" in said for partition in (1, 2, 3))
        assert {frozen_one for frozen_one, *_ in counts} == {0}
        assert all(counts[-1][partition] > counts[0][partition] for partition in (1, 2, 3)), "the others had to go on"
        assert it.goes_on_after_a_restart(), tail(it.worker.log)


@pytest.mark.services
def test_a_worker_that_has_more_than_it_can_do_is_not_stalled(
    kafka: KafkaEndpoint, topic_prefix: str, tmp_path: Path
) -> None:
    """What came last waits three times the time-out, in a partition that nothing else moves, and nothing tries it."""
    with frozen(kafka, topic_prefix, tmp_path, "slow", WATSON_WINDOW="2") as it:
        homes: list[list[Event]] = [[], [], [], []]
        for event in map(it.backlog.segmented, range(600)):
            homes[partition_of(encode(event, "/flood")[0], 4)].append(event)
        first, last = homes[0][:100], homes[1][:5]
        asyncio.run(flood(it.settings, [*first, *last]))
        ended = len(first) * SLOW_SECONDS / 2
        assert ended > 3 * STALL_SECONDS
        assert wait_until(lambda: _committed(it.settings) == [100, 5, 0, 0], seconds=ended + 60), tail(it.worker.log)
        assert it.worker.process.poll() is None


def _committed(settings: Settings) -> list[int]:
    """What catalogue's group has committed of each partition."""

    async def ask() -> list[int]:
        group = settings.topic("watson-catalogue")
        reader = AIOKafkaConsumer(bootstrap_servers=settings.brokers, group_id=group, enable_auto_commit=False)
        await reader.start()
        try:
            places = [TopicPartition(settings.topic("segmented"), partition) for partition in range(4)]
            return [await reader.committed(place) or 0 for place in places]
        finally:
            await reader.stop()

    return asyncio.run(ask())


@pytest.mark.services
def test_a_worker_whose_event_loop_is_blocked_ends_with_75_and_says_where(
    kafka: KafkaEndpoint, topic_prefix: str, tmp_path: Path
) -> None:
    with frozen(kafka, topic_prefix, tmp_path, "loop") as it:
        assert it.worker.process.wait(timeout=60) == 75
        said = it.worker.log.read_text()
        assert "the event loop is blocked" in said
        assert "in blocked" in said, "the stack shows the function that blocks"
        assert it.goes_on_after_a_restart(), tail(it.worker.log)


def _says_that_it_is_stalled(port: int) -> bool:
    status, said = live(port)
    return status == 503 and any("messages wait" in problem for problem in said["problems"])


def _has_frozen(worker: Worker, freezer: Freezer) -> bool:
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
