"""A job from a bucket to a dataset, on real Kafka, Cassandra and S3, every role a process of its own."""

import json

import pytest

from tests.end_to_end import oracle
from tests.services.process import wait_until
from watson.embedded.demo import collect_photographs
from watson.events import DEFAULT_MODEL

pytestmark = [pytest.mark.services, pytest.mark.slow, pytest.mark.timeout(400)]

JOB = "photographs"
PARTITIONS = 4  # as in conftest.py


def submit(kafka, topic_prefix: str, bucket: str, model: str) -> None:
    """As any Kafka producer would: plain JSON, no header, nothing of Watson's code."""
    manifest = {
        "job": JOB,
        "dataset": "test",
        "model": model,
        "source": {"kind": "s3", "uri": f"s3://{bucket}/photographs/"},
    }
    oracle.produce(kafka.brokers, f"{topic_prefix}manifests", JOB, manifest)


def check(  # all of it, by other clients than Watson's
    kafka, cassandra, s3_client, topic_prefix, keyspace, bucket, good, broken
) -> None:
    images = oracle.rows(cassandra, keyspace, "images", JOB)
    letters = oracle.rows(cassandra, keyspace, "dead_letters", JOB)
    events = [json.loads(row["event"])["data"] for row in images]
    oracle.assert_each_once([event["original"]["uri"] for event in events], good)
    oracle.assert_each_once([json.loads(row["event"])["data"]["uri"] for row in letters], broken)
    masks = [mask["mask_id"] for event in events for mask in event["masks"]]
    assert len(masks) == len(set(masks)) > 0
    assert oracle.assert_objects_are_right(s3_client, bucket, events) > len(good)
    counts = {}
    for row in oracle.rows(cassandra, keyspace, "job_counts", JOB):
        counts[row["stage"]] = counts.get(row["stage"], 0) + row["count"]
    assert counts == {
        "discovered": len(good | broken),
        "preprocessed": len(good),
        "segmented": len(good),
        "catalogued": len(good),
        "quarantined": len(broken),
    }
    log = oracle.consume(kafka.brokers, f"{topic_prefix}catalogued", PARTITIONS)
    assert {event["original"]["uri"] for event in log} == good


def test_every_image_is_catalogued_or_quarantined_exactly_once(
    line, upload, kafka, cassandra, s3_client, topic_prefix, keyspace, bucket
):
    good, broken = upload(60)
    line.start()
    submit(kafka, topic_prefix, bucket, "test-threshold")
    line.wait(lambda: line.complete(JOB), 120, "the job is complete")
    check(kafka, cassandra, s3_client, topic_prefix, keyspace, bucket, good, broken)
    audit = line.cli("audit", JOB)
    assert "nothing is off" in audit.stdout
    codes = {name: worker.stop() for name, worker in line.workers.items()}
    assert codes == dict.fromkeys(codes, 0)


@pytest.mark.torch
def test_photographs_come_out_named_and_masked_by_the_default_model(
    line, kafka, cassandra, s3_client, topic_prefix, keyspace, bucket, tmp_path
):
    named = {"cat-chelsea.png": "Egyptian cat", "coffee.png": "espresso", "drum.jpg": "drum", "goose.jpg": "goose"}
    collect_photographs(tmp_path / "demo")
    for name in (*named, "broken-truncated.jpg"):
        s3_client.upload_file(str(tmp_path / "demo" / name), bucket, f"photographs/{name}")
    line.start()
    submit(kafka, topic_prefix, bucket, DEFAULT_MODEL)
    line.wait(lambda: line.complete(JOB), 240, "the job is complete")
    uris = {name: f"s3://{bucket}/photographs/{name}" for name in (*named, "broken-truncated.jpg")}
    good, broken = {uris[name] for name in named}, {uris["broken-truncated.jpg"]}
    check(kafka, cassandra, s3_client, topic_prefix, keyspace, bucket, good, broken)
    events = [json.loads(row["event"])["data"] for row in oracle.rows(cassandra, keyspace, "images", JOB)]
    found = {event["original"]["uri"].rsplit("/", 1)[1]: event["masks"][0]["category"] for event in events}
    assert found == named
    assert "nothing is off" in line.cli("audit", JOB).stdout


def test_with_two_segment_workers_and_a_kill_in_the_middle_nothing_is_lost_or_repeated(
    line, upload, kafka, cassandra, s3_client, topic_prefix, keyspace, bucket
):
    good, broken = upload(400)
    line.environment |= {"WATSON_CREDIT_MIN": "16", "WATSON_CREDIT_MAX": "16"}  # few in flight: time to kill in
    line.start("discover", "preprocess", "segment", "segment", "catalogue", "project")
    submit(kafka, topic_prefix, bucket, "test-threshold")
    with oracle.Watch(kafka.brokers, f"{topic_prefix}segmented", PARTITIONS) as segmented:
        line.wait(lambda: segmented.records() >= 40, 90, "some are segmented")
        line.workers["segment-0"].kill()
        assert segmented.records() < 400, "the kill came too late to prove anything"
    line.wait(lambda: line.complete(JOB), 180, "the job is complete")
    check(kafka, cassandra, s3_client, topic_prefix, keyspace, bucket, good, broken)
    assert "nothing is off" in line.cli("audit", JOB).stdout


def test_the_audit_finds_a_mask_object_that_was_altered_and_one_that_was_deleted(
    line, upload, kafka, s3_client, topic_prefix, bucket
):
    upload(6)
    line.start("discover", "preprocess", "segment", "catalogue", "project")
    submit(kafka, topic_prefix, bucket, "test-threshold")
    line.wait(lambda: line.complete(JOB), 120, "the job is complete")
    listed = s3_client.list_objects_v2(Bucket=bucket, Prefix="watson/masks/")["Contents"]
    altered, deleted = listed[0]["Key"], listed[1]["Key"]
    s3_client.put_object(Bucket=bucket, Key=altered, Body=b"altered by hand")
    s3_client.delete_object(Bucket=bucket, Key=deleted)
    audit = line.cli("audit", JOB, check=False)
    assert audit.returncode == 1
    found = {row.split("\t")[0]: row for row in audit.stdout.splitlines() if row.startswith("object-")}
    assert altered.removeprefix("watson/") in found["object-altered"]
    assert deleted.removeprefix("watson/") in found["object-missing"]


def test_the_projection_is_rebuilt_from_the_log_into_equal_rows(
    line, upload, kafka, cassandra, topic_prefix, keyspace, bucket
):
    upload(20)
    line.start("discover", "preprocess", "segment", "catalogue", "project")
    submit(kafka, topic_prefix, bucket, "test-threshold")
    line.wait(lambda: line.complete(JOB), 120, "the job is complete")

    def projected() -> dict[str, list]:
        tables = ("images", "masks", "dead_letters", "jobs")
        content = {name: sorted(map(repr, oracle.rows(cassandra, keyspace, name, JOB))) for name in tables}
        counts = oracle.rows(cassandra, keyspace, "job_counts", JOB)
        content["counts"] = sorted((row["stage"], row["partition"], row["count"]) for row in counts)
        return content

    before = projected()
    assert all(before.values())
    for worker in line.workers.values():
        worker.stop()
    line.cli("project", "rebuild", "--yes")
    assert wait_until(lambda: projected() == before, seconds=10), (before, projected())


def test_quarantined_images_are_retried_once_their_cause_is_gone(
    line, upload, kafka, cassandra, s3_client, topic_prefix, keyspace, bucket
):
    upload(3)
    line.start("discover", "preprocess", "segment", "catalogue", "project")
    submit(kafka, topic_prefix, bucket, "test-threshold")
    line.wait(lambda: line.complete(JOB), 120, "the job is complete")
    from tests.end_to_end.conftest import picture

    s3_client.put_object(Bucket=bucket, Key="photographs/broken/empty.jpg", Body=picture(99))
    assert "sent 1 again" in line.cli("dead-letters", "retry", "--job", JOB, "--reason", "empty-file").stdout
    line.wait(
        lambda: line.status(JOB)["counts"] == {**line.status(JOB)["counts"], "catalogued": 4, "quarantined": 2},
        60,
        "it is catalogued",
    )
    letters = json.loads(line.cli("dead-letters", "list", "--job", JOB, "--json").stdout)
    assert {letter["reason"]: letter["resolved"] for letter in letters}["empty-file"] is True
    assert "nothing is off" in line.cli("audit", JOB).stdout
