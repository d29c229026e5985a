"""One run: three jobs, a schedule of faults, and the oracle's word."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.evidence import LogRecord
from tests.chaos.faults import KINDS, OUTPUTS, strike
from tests.chaos.oracle import Finding, judge, repeated
from tests.chaos.report import Report, merged
from tests.chaos.scene import Scene, Servers, prepared
from tests.chaos.schedule import WORKERS, Bounds, Fault, draw_schedule
from tests.services.process import wait_until

__all__ = ["FULL", "SHORT", "Shape", "run"]

_EXPECTED_EXITS = {0, 69, 70, 75, 137, 143}
"""143: SIGTERM before the worker had its handler."""

_START_SECONDS = 120.0
_FIRST_IMAGES = 10  # catalogued before the first fault
_SETTLE_SECONDS = 300.0  # for the projection, after the last job is complete
_PROJECTED = {"watson-project": ("image-discovered", "preprocessed", "segmented", "catalogued", "dead-letters")}


@dataclass(frozen=True)
class Shape:
    """How much of everything.

    Attributes:
        images: of each of the three jobs, about.
        faults: number of them.
        gap: seconds between the beginnings of two.
        limit: seconds for all jobs to complete.
    """

    images: int
    faults: int
    gap: Bounds
    limit: float


FULL = Shape(images=2000, faults=40, gap=(3.0, 9.0), limit=1200.0)
SHORT = Shape(images=250, faults=len(KINDS), gap=(2.0, 4.5), limit=300.0)


def run(seed: int, shape: Shape, servers: Servers, folder: Path) -> Report:
    """Run one schedule and judge what came out.

    Args:
        seed: of the schedule.
        shape: of the run.
        servers: of this run alone: they are killed.
        folder: for sources, states and logs; empty.
    """
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # that a killed broker does not answer is no news
    logging.getLogger("cassandra").setLevel(logging.CRITICAL)
    schedule = draw_schedule(seed, KINDS, number=shape.faults, gap=shape.gap)
    _say(f"seed {seed}: {len(schedule)} faults")
    for fault in schedule:
        _say(f"  {fault}")
    with prepared(servers, folder, images=shape.images, workers=WORKERS, seed=seed) as scene:
        return _Run(seed, schedule, scene).play(shape.limit)


class _Run:
    def __init__(self, seed: int, schedule: Sequence[Fault], scene: Scene) -> None:
        self._schedule, self._scene = schedule, scene
        self._report = Report(seed, images=scene.sources.images)
        self._recoveries: list[tuple[str, str, float]] = []  # fault, victim, moment
        self._failed: list[BaseException] = []
        self._began = 0.0

    def play(self, limit: float) -> Report:
        scene, report = self._scene, self._report
        for job in scene.sources.jobs:
            scene.submit(job)
        assert wait_until(lambda: scene.progress.total("catalogued") >= _FIRST_IMAGES, seconds=_START_SECONDS), (
            f"nothing comes out, though no fault has been injected yet\n{scene.tails()}"
        )
        self._began = time.monotonic()
        faults = self._inject(limit)
        done = wait_until(lambda: scene.complete, seconds=max(1.0, limit - self._elapsed))
        for fault in faults:
            fault.join(120)
        if self._failed:
            raise self._failed[0]
        report.seconds = round(self._elapsed, 1)
        _say(f"{self._elapsed:6.1f} s  {'all jobs are complete' if done else 'TIME IS UP'}: judging")
        findings = self._judged(_SETTLE_SECONDS if done else 0.0)
        report.findings = [(finding.kind, finding.job, finding.what, finding.detail) for finding in findings]
        for finding in findings[:40]:
            _say(f"  {finding}")
        return report

    @property
    def _elapsed(self) -> float:
        return time.monotonic() - self._began

    def _inject(self, limit: float) -> list[threading.Thread]:
        """Each fault in a thread of its own, so that they overlap; none after the work has ended."""
        threads = []
        for place, fault in enumerate(self._schedule):
            over = wait_until(lambda: self._scene.complete, seconds=max(0.0, fault.second - self._elapsed))
            if over or self._elapsed > limit:
                self._report.not_injected = len(self._schedule) - place
                break
            counted = {topic: self._scene.progress.total(topic) for topic in ("image-discovered", "catalogued")}
            _say(f"{self._elapsed:6.1f} s  {fault.name} {fault.victim}  (log: {counted})")
            self._report.faults[fault.name] = self._report.faults.get(fault.name, 0) + 1
            thread = threading.Thread(target=self._strike, args=(fault,))
            thread.start()
            threads.append(thread)
        return threads

    def _strike(self, fault: Fault) -> None:
        try:
            since = strike(self._scene, fault)
        except BaseException as exc:
            self._failed.append(exc)
            raise
        if since is not None:
            self._recoveries.append((fault.name, fault.victim, since))

    def _judged(self, seconds: float) -> list[Finding]:
        """Once the projection has read all; what it lacks then is a finding where it stays so."""
        scene = self._scene
        deadline = time.monotonic() + seconds
        wait_until(lambda: scene.progress.unread(_PROJECTED) == 0, seconds=seconds)
        while True:
            evidence = scene.evidence()
            findings = judge(scene.sources.jobs, scene.sources.originals, evidence)
            if not findings or time.monotonic() > deadline:
                break
            time.sleep(2.0)
        self._note(evidence.log)
        codes: Counter[int] = Counter()
        for (role, code), number in scene.crew.exits.items():
            codes[code] += number
            if code not in _EXPECTED_EXITS:
                findings.append(Finding("exit-code", "-", role, f"{code}, {number} times"))
        self._report.exits = {str(code): number for code, number in sorted(codes.items())}
        return findings

    def _note(self, log: list[LogRecord]) -> None:
        report = self._report
        report.repeated_records = repeated(record for record in log if record.topic != "jobs")
        report.copied_records = self._scene.copied
        report.redriven = len(
            {record.key for record in log if record.topic == "image-discovered" and record.header("redrive")}
        )
        report.recovery = merged([(name, self._recovery(*rest)) for name, *rest in self._recoveries])

    def _recovery(self, victim: str, since: float) -> float | None:
        if victim == "kafka":
            return self._scene.progress.moved("segmented", since, every_partition=False)
        output = OUTPUTS.get(victim.partition("-")[0])
        return None if output is None else self._scene.progress.moved(output, since, every_partition=True)


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - the run's own report
