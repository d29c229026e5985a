"""Tests of the tests: with a guarantee taken out the oracle must report loss; and the line heals itself."""

from __future__ import annotations

import signal
from collections import Counter
from pathlib import Path

import pytest

from tests.chaos.scene import Servers
from tests.chaos.trial import INERT, Trial, staged
from tests.services import CassandraEndpoint, KafkaEndpoint, S3Endpoint

pytestmark = [pytest.mark.services, pytest.mark.slow, pytest.mark.timeout(300)]

IMAGES = 240
DELAY = 0.8  # seconds


@pytest.fixture
def servers(kafka: KafkaEndpoint, cassandra: CassandraEndpoint, s3: S3Endpoint) -> Servers:
    return Servers(kafka, cassandra, s3)


def lost(trial: Trial) -> Counter[str]:
    return Counter(finding.kind for finding in trial.findings())


def kill_segment_twice(trial: Trial) -> None:
    """Its emissions are held back, so each kill meets a window full of them."""
    for reached in (30, 90):
        trial.when("segmented", reached)
        trial.end("segment", signal.SIGKILL)


def restart_under_load(trial: Trial) -> None:
    """Each start finds a backlog, which stock recovery fetches, and then clears from its queues."""
    for reached in (20, 50, 80):
        trial.when("segmented", reached)
        trial.end("segment", signal.SIGTERM)


def test_unmutated_loses_nothing_without_redrive(servers: Servers, tmp_path: Path) -> None:
    """The control: the same faults, the same held-back emissions, and nothing taken out."""
    with staged(servers, tmp_path, images=IMAGES, roles=("segment",), delay=DELAY, settings=INERT) as trial:
        kill_segment_twice(trial)
        assert trial.finish(150), [*trial.findings(), trial.scene.tails()]
        assert trial.findings() == []


@pytest.mark.parametrize("mutant", ["mark-first", "ack-first"])
def test_without_redrive_the_oracle_finds_what_a_wrong_order_loses(
    servers: Servers, tmp_path: Path, mutant: str
) -> None:
    with staged(servers, tmp_path, mutant, images=IMAGES, roles=("segment",), delay=DELAY, settings=INERT) as trial:
        kill_segment_twice(trial)
        assert not trial.finish(150), "the job completed: nothing was lost"
        assert lost(trial)["missing"] > 0


def test_without_redrive_the_oracle_finds_what_stock_classes_lose(servers: Servers, tmp_path: Path) -> None:
    roles = ("preprocess", "segment", "catalogue")
    with staged(servers, tmp_path, "stock", images=IMAGES, roles=roles, delay=0.1, settings=INERT) as trial:
        restart_under_load(trial)
        assert not trial.finish(150), "the job completed: nothing was lost"
        assert lost(trial)["missing"] > 0


def test_with_redrive_every_job_completes_on_stock_classes(servers: Servers, tmp_path: Path) -> None:
    roles = ("discover", "preprocess", "segment", "catalogue")
    settings = {"WATSON_REDRIVE_AFTER": "8", "WATSON_STALL_TIMEOUT": "15"}
    with staged(servers, tmp_path, "stock", images=IMAGES, roles=roles, delay=0.1, settings=settings) as trial:
        restart_under_load(trial)
        assert trial.finish(200), trial.scene.tails()
        assert trial.findings() == []
