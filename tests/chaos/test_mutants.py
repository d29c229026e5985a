"""Tests of the tests: with a guarantee taken out the oracle must report loss; and the line heals itself."""

from __future__ import annotations

import signal
from collections import Counter
from pathlib import Path

import pytest

from tests.chaos.scene import Servers
from tests.chaos.trial import INERT, Trial, staged
from tests.end_to_end.line import pause
from tests.services import CassandraEndpoint, KafkaEndpoint, S3Endpoint

pytestmark = [pytest.mark.services, pytest.mark.slow, pytest.mark.timeout(300)]

IMAGES = 120  # a fourth of them fits into the window at once
HELD = 8.0  # seconds
COMMITTED = 2.5  # seconds in which offsets are committed twice


@pytest.fixture
def servers(kafka: KafkaEndpoint, cassandra: CassandraEndpoint, s3: S3Endpoint) -> Servers:
    return Servers(kafka, cassandra, s3)


def kill_segment(trial: Trial) -> None:
    """The kill meets emissions that are held back, while what came after them is done and committed."""
    with trial.away("segment"):
        trial.when("preprocessed", IMAGES * 3 // 4)
    trial.when("segmented", IMAGES // 4)
    pause(COMMITTED)
    trial.end("segment", signal.SIGKILL)


def test_unmutated_loses_nothing_without_redrive(servers: Servers, tmp_path: Path) -> None:
    """The control: the same faults, the same emissions held back, and nothing taken out."""
    with staged(servers, tmp_path, images=IMAGES, roles=("segment",), held=HELD, settings=INERT) as trial:
        kill_segment(trial)
        assert trial.finish(200), [*trial.findings(), trial.scene.tails()]
        assert trial.findings() == []


@pytest.mark.parametrize("mutant", ["stock", "mark-first", "ack-first"])
def test_without_redrive_the_oracle_finds_what_a_mutant_loses(servers: Servers, tmp_path: Path, mutant: str) -> None:
    with staged(servers, tmp_path, mutant, images=IMAGES, roles=("segment",), held=HELD, settings=INERT) as trial:
        kill_segment(trial)
        assert not trial.finish(200), "the job completed: nothing was lost"
        # stock classes may leave a worker that never reads on; of these two every record was read, so none is only late
        assert mutant == "stock" or trial.has_read_all(), trial.scene.tails()
        found = Counter(finding.kind for finding in trial.findings())
        print(f"{mutant}: {dict(found)}")  # noqa: T201 - how much, for whoever looks
        assert found["missing"] > 0


def test_with_redrive_every_job_completes_on_stock_classes(servers: Servers, tmp_path: Path) -> None:
    roles = ("discover", "preprocess", "segment", "catalogue")
    settings = {"WATSON_REDRIVE_AFTER": "6", "WATSON_STALL_TIMEOUT": "15"}
    with staged(servers, tmp_path, "stock", images=IMAGES, roles=roles, held=HELD, settings=settings) as trial:
        kill_segment(trial)
        assert trial.completes(200), trial.scene.tails()
        assert trial.findings() == []
        assert trial.redriven() > 0, "nothing was lost, so nothing was healed"
