"""A listing of any length is discovered in flat memory: what a worker holds is what is in flight."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.end_to_end import oracle
from tests.end_to_end.line import Line
from tests.limits.ender import Ender
from tests.limits.memory import MB, Samples, resident, worker_pid
from tests.limits.scale import REFERENCES
from watson.agents.publish import publish
from watson.events import ManifestSubmitted, Source
from watson.settings import Settings

pytestmark = [pytest.mark.services, pytest.mark.slow, pytest.mark.timeout(7200)]

JOB = "limits"
LEAST_RATE = 20  # references/s: below that nothing goes on
MOST_GROWTH = 150 * MB
"""Generous: 4,096 images in flight at 4 kB, write buffers of 48 MB, what is fetched ahead."""
MOST_GROWTH_LATER = 60 * MB
"""From a third of the listing to its end: here it must be flat."""


def test_a_long_listing_is_discovered_in_flat_memory(
    line: Line, settings: Settings, tmp_path: Path, say: Callable[[str], None]
) -> None:
    listing = tmp_path / "listing.txt"
    with listing.open("w") as file:
        file.writelines(f"s3://bucket/{number // 1000}/{number:08}.jpg\n" for number in range(REFERENCES))
    line.start("discover")
    pid = worker_pid(line.workers["discover-0"].process)
    idle = resident(pid)
    with Samples(pid) as samples:
        third, seconds = asyncio.run(_discover_all(settings, listing, samples))
        line.wait(lambda: _state(settings) == "complete", 120, "the job is complete")
    early, late = max(samples.taken[:third]), max(samples.taken[third:])
    say(
        f"{REFERENCES} references: idle {idle / MB:.0f} MB, at most {early / MB:.0f} MB in the first third, "
        f"{late / MB:.0f} MB later; {REFERENCES / seconds:.0f} references/s"
    )
    assert _ledger(settings) == {"listed": REFERENCES, "discovered": REFERENCES, "catalogued": REFERENCES}
    assert samples.most() - idle < MOST_GROWTH
    assert late - early < MOST_GROWTH_LATER


def _said(settings: Settings) -> list[dict]:
    """All that discover said of jobs: the topic itself, for the ledger must not depend on a projection."""
    return oracle.consume(settings.brokers, settings.topic("jobs"), settings.partitions)


def _state(settings: Settings) -> str:
    states = [said["state"] for said in _said(settings) if "state" in said]
    return states[-1] if states else "unknown"


def _ledger(settings: Settings) -> dict[str, int]:
    newest = {said["partition"]: said for said in _said(settings) if "partition" in said}
    return {name: sum(part[name] for part in newest.values()) for name in ("listed", "discovered", "catalogued")}


async def _discover_all(settings: Settings, listing: Path, samples: Samples) -> tuple[int, float]:
    """Submit, and wait until all were sent; returns the samples taken up to a third, and seconds."""
    source = Source(kind="list", uri=str(listing))
    await publish(settings, [ManifestSubmitted(job=JOB, dataset=JOB, model="test-threshold", source=source)])
    began = time.monotonic()
    third = 0
    async with Ender(settings) as ender, asyncio.timeout(60 + REFERENCES / LEAST_RATE):
        while ender.ended < REFERENCES:
            await asyncio.sleep(0.2)
            ender.check()
            if not third and ender.ended > REFERENCES / 3:
                third = len(samples.taken)
        seconds = time.monotonic() - began
    return third, seconds
