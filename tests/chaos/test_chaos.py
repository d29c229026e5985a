"""The short form: every kind of fault once, on servers of its own; the oracle finds nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.run import SHORT, run
from tests.chaos.scene import Servers
from tests.services import S3, Cassandra, Kafka

pytestmark = [
    pytest.mark.services,
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # pycocotools' own
]

SEED = 4


def test_whatever_dies_every_image_ends_exactly_once(
    own_kafka: Kafka, own_cassandra: Cassandra, own_s3: S3, tmp_path: Path
) -> None:
    report = run(SEED, SHORT, Servers.owned(own_kafka, own_cassandra, own_s3), tmp_path)
    assert report.findings == [], report
    assert sum(report.faults.values()) > SHORT.faults // 2, "it was over too soon to prove anything"
