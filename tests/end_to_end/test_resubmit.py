"""A job, the same pictures once more by other rules, and what differs: on real Kafka, Cassandra and S3."""

import json

import pytest

pytestmark = [pytest.mark.services, pytest.mark.slow, pytest.mark.timeout(400)]

GOOD, BROKEN = 40, 3


def stored(s3_client, bucket: str) -> dict:
    """When each object of Watson's was written."""
    pages = s3_client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="watson/")
    return {entry["Key"]: entry["LastModified"] for page in pages for entry in page["Contents"]}


def test_the_same_pictures_by_other_rules_are_not_made_again_and_the_jobs_can_be_compared(
    line, upload, s3_client, bucket
):
    good, _ = upload(GOOD)
    line.start("discover", "preprocess", "segment", "catalogue", "project")
    submitted = line.cli(
        "submit", f"s3://{bucket}/photographs/", "--dataset", "street", "--model", "test-threshold", "--json"
    )
    first = json.loads(submitted.stdout)["job"]
    line.wait(lambda: line.complete(first), 120, "the first job is complete")
    before = stored(s3_client, bucket)
    assert sum(key.endswith(".jpg") for key in before) == sum(key.endswith(".json") for key in before) == GOOD

    snapshot = line.cli("datasets", "snapshot", "street").stdout.strip()
    second = json.loads(line.cli("resubmit", first, "--least-area", "0.9", "--json").stdout)["job"]
    line.wait(lambda: line.complete(second), 120, "the second job is complete")
    after = {key: time for key, time in stored(s3_client, bucket).items() if "/snapshot" not in key}
    assert after == before  # neither a picture nor a mask was put again
    for job in (first, second):
        assert "nothing is off" in line.cli("audit", job).stdout

    found = json.loads(line.cli("diff", first, second, "--json").stdout)
    assert found["images"] == {"both": GOOD, "same": 0, "replaced": 0, "only_before": 0, "only_after": 0}
    assert found["masks"]["lost"] >= GOOD
    assert found["masks"]["lost"] == sum(found["masks"].values())

    suggested = json.loads(line.cli("suggest", second, "--against", first, "-n", "100", "--json").stdout)
    assert {one["uri"] for one in suggested["suggestions"]} == good

    third = line.cli("datasets", "snapshot", "street").stdout.strip()
    assert third != snapshot
    assert line.cli("datasets", "snapshot", "street", "--job", first).stdout.strip() == snapshot
    changed = json.loads(line.cli("datasets", "diff", snapshot, third, "--json").stdout)
    assert changed["images"] == {"gained": 0, "lost": 0, "changed": GOOD, "unchanged": 0}
