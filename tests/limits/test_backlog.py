"""A long queue is Kafka's to keep: what a worker holds in memory does not grow with what waits for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.end_to_end.line import Line
from tests.limits.backlog import Backlog
from tests.limits.flood import flood, lag, progress
from tests.limits.memory import MB, Samples, resident, worker_pid
from tests.limits.scale import QUEUED, WORK_SECONDS
from watson.events import CHAIN
from watson.settings import Settings

pytestmark = [pytest.mark.services, pytest.mark.slow, pytest.mark.timeout(1200)]

READS = {
    "discover": CHAIN,
    "preprocess": CHAIN[:1],
    "segment": CHAIN[1:2],
    "catalogue": CHAIN[2:3],
    "project": CHAIN,
}
MOST_GROWTH = 110 * MB
"""Generous: RocksDB's write buffers (48 MB), what is fetched ahead (128 kB a partition and topic, and three times that
when it is taken apart), pictures in work. With Kafka's own 1 MB a fetch, discover and project grew by 130 MB here."""

IN_FLIGHT = 5_000
"""Bytes that discover keeps of an image in flight. A job's credit bounds them; this log was written by no job."""


def test_the_memory_of_each_role_stays_bounded_with_a_long_queue(
    line: Line, settings: Settings, tmp_path: Path, say: Callable[[str], None]
) -> None:
    backlog = Backlog(settings, tmp_path)
    line.start(*READS)
    pids = {role: worker_pid(line.workers[f"{role}-0"].process) for role in READS}
    idle = {role: resident(pid) for role, pid in pids.items()}
    with ExitStack() as stack:
        samples = {role: stack.enter_context(Samples(pid)) for role, pid in pids.items()}
        asyncio.run(flood(settings, backlog.of_each_role(QUEUED)))
        waiting = {role: asyncio.run(lag(settings, role, topics)) for role, topics in READS.items()}
        time.sleep(WORK_SECONDS)  # no condition to wait for: it is to be watched while it works
    for role in READS:
        most = samples[role].most()
        say(
            f"{role:10} idle {idle[role] / MB:4.0f} MB, at most {most / MB:4.0f} MB with {waiting[role]} events waiting"
        )
    assert min(waiting.values()) > QUEUED / 4, f"a queue was never long, so this proves nothing: {waiting}"
    for role, topics in READS.items():
        most_growth = MOST_GROWTH + (IN_FLIGHT * QUEUED if role == "discover" else 0)
        assert samples[role].most() - idle[role] < most_growth, role
        assert asyncio.run(progress(settings, role, topics))[0] > 0, f"{role} did nothing"
