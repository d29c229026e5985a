"""A bad deploy on the real line: the job pauses with the reason, and goes on with nothing lost."""

import json

import pytest

from tests.end_to_end import oracle
from tests.end_to_end.test_pipeline import JOB, submit

pytestmark = [pytest.mark.services, pytest.mark.slow, pytest.mark.timeout(400)]

FAILURES = 10
CREDIT = 16
PICTURES = 60


@pytest.fixture
def environment(environment):
    return {**environment, "WATSON_BREAKER_FAILURES": str(FAILURES), "WATSON_CREDIT_MIN": str(CREDIT)}


def test_a_model_that_raises_on_everything_pauses_the_job_and_a_good_one_finishes_it(
    line, upload, kafka, cassandra, s3_client, topic_prefix, keyspace, bucket
):
    good, broken = upload(PICTURES)
    line.begin("segment", program="tests.end_to_end.bad_deploy")
    line.start("discover", "preprocess", "catalogue", "project")
    submit(kafka, topic_prefix, bucket, "test-threshold")
    line.wait(lambda: line.status(JOB)["state"] == "paused", 90, "the job is paused")

    shown = line.cli("status", JOB, check=False)  # it ends, though the job is not over
    assert shown.returncode == 1
    assert "is paused" in shown.stderr
    message = line.status(JOB)["message"]
    assert "segment: model-failed" in message
    assert "no kernel image is available" in message
    assert f"watson jobs resume {JOB}" in message

    def settled() -> bool:
        counts = line.status(JOB)["counts"]
        return counts["discovered"] == counts["catalogued"] + counts["quarantined"] > 0

    line.wait(settled, 60, "what was in flight has ended")
    letters = [json.loads(row["event"])["data"] for row in oracle.rows(cassandra, keyspace, "dead_letters", JOB)]
    failed = [letter for letter in letters if letter["reason"] == "model-failed"]
    assert FAILURES <= len(failed) <= FAILURES - 1 + CREDIT < PICTURES

    def clean() -> bool:  # a count may be on its way to the catalogue
        return "nothing is off" in line.cli("audit", JOB, "--no-source", check=False).stdout

    line.wait(clean, 30, "the ledger of the paused job closes")

    segment, discover = line.workers["segment-0"], line.workers["discover-0"]
    discover.kill()  # that the job is paused is kept
    segment.stop()
    segment.program = "watson"
    segment.restart()
    discover.restart()
    line.wait(lambda: segment.ready() and discover.ready(), 120, "the good deploy is ready")
    assert line.status(JOB)["state"] == "paused"
    assert f"resumed job {JOB}" in line.cli("jobs", "resume", JOB).stdout
    assert "is not paused" in line.cli("jobs", "resume", JOB).stdout
    line.wait(lambda: line.complete(JOB), 120, "the job is complete")

    events = [json.loads(row["event"])["data"] for row in oracle.rows(cassandra, keyspace, "images", JOB)]
    oracle.assert_each_once([event["original"]["uri"] for event in events], good)
    letters = oracle.rows(cassandra, keyspace, "dead_letters", JOB)
    still_open = [json.loads(row["event"])["data"]["uri"] for row in letters if not row["resolved"]]
    oracle.assert_each_once(still_open, broken)
    assert oracle.assert_objects_are_right(s3_client, bucket, events) > len(good)
    assert "nothing is off" in line.cli("audit", JOB).stdout
