"""Objects and rows lost or altered by hand, by the servers' own clients, and made good by `watson audit --repair`."""

import gzip
import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from cassandra.cluster import Cluster

from tests.end_to_end import oracle
from tests.end_to_end.conftest import picture
from tests.end_to_end.test_pipeline import JOB, PARTITIONS, check, submit

pytestmark = [pytest.mark.services, pytest.mark.slow, pytest.mark.timeout(400)]

ROLES = ("discover", "preprocess", "segment", "catalogue", "project")


@pytest.fixture
def session(cassandra, keyspace, line):  # the line makes the keyspace
    with Cluster([cassandra.host], port=cassandra.port) as cluster, cluster.connect(keyspace) as opened:
        yield opened


@pytest.fixture
def finished(line, upload, kafka, topic_prefix, bucket):
    """A job that is complete; returns the URIs of the good pictures and of the broken ones."""
    uris = upload(12)
    line.start(*ROLES)
    submit(kafka, topic_prefix, bucket, "test-threshold")
    line.wait(lambda: line.complete(JOB), 120, "the job is complete")
    return uris


def kinds(line) -> Counter:
    done = line.cli("audit", JOB, check=False)
    found = Counter(row.split("\t")[0] for row in done.stdout.splitlines() if "\t" in row)
    assert done.returncode == (1 if found else 0), done.stderr
    return found


def image_rows(cassandra, keyspace) -> list[dict]:
    """In the order of their keys."""
    return sorted(oracle.rows(cassandra, keyspace, "images", JOB), key=lambda row: row["image_key"])


def event_of(row: dict) -> dict:
    return json.loads(row["event"])["data"]


def mask_ids(cassandra, keyspace) -> Counter:
    return Counter(json.loads(row["mask"])["mask_id"] for row in oracle.rows(cassandra, keyspace, "masks", JOB))


def delete_and_alter_objects(s3_client, bucket: str, events: list[dict]) -> None:
    """Of the first five images."""

    def place(name: str) -> dict[str, str]:
        return {"Bucket": bucket, "Key": f"watson/{name}"}

    s3_client.delete_object(**place(events[0]["normalised"]["object"]))
    s3_client.put_object(**place(events[1]["normalised"]["object"]), Body=b"altered by hand")
    s3_client.delete_object(**place(events[2]["masks_object"]))
    # altered so that it can still be read: only its hash tells
    body = s3_client.get_object(**place(events[3]["masks_object"]))["Body"].read()
    s3_client.put_object(**place(events[3]["masks_object"]), Body=gzip.compress(gzip.decompress(body) + b" "))
    s3_client.delete_object(**place(events[4]["masks_object"]))  # of an image whose row will be gone too


def delete_image_row(session, row: dict) -> None:
    session.execute(
        "DELETE FROM images WHERE job = %s AND bucket = %s AND image_key = %s", (JOB, row["bucket"], row["image_key"])
    )


def delete_and_alter_rows(session, tables: dict[str, list[dict]]) -> None:
    """Of the images from the fifth on, and of each of the other tables."""
    images, letters, (job,) = tables["images"], tables["dead_letters"], tables["jobs"]
    for row in images[4:6]:
        delete_image_row(session, row)
    session.execute(
        "UPDATE images SET event = %s WHERE job = %s AND bucket = %s AND image_key = %s AND revision = %s",
        (
            images[6]["event"].replace('"bright"', '"brigth"'),
            JOB,
            images[6]["bucket"],
            images[6]["image_key"],
            images[6]["revision"],
        ),
    )
    for row in tables["masks"]:
        if row["image_key"] == images[7]["image_key"]:
            session.execute(
                "DELETE FROM masks WHERE job = %s AND bucket = %s AND category = %s AND image_key = %s",
                (JOB, row["bucket"], row["category"], row["image_key"]),
            )
    session.execute("DELETE FROM jobs WHERE shard = %s AND job = %s", (job["shard"], JOB))
    session.execute("DELETE FROM job_counts WHERE job = %s", (JOB,))
    first, second = ((JOB, letter["bucket"], letter["id"]) for letter in letters[:2])
    session.execute("DELETE FROM dead_letters WHERE job = %s AND bucket = %s AND id = %s", first)
    session.execute("DELETE FROM dead_letters_by_reason WHERE job = %s AND bucket = %s", second[:2])
    session.execute("TRUNCATE models")


def all_rows(session) -> dict[str, list[dict]]:
    """By a full scan of each table, in the order of their keys."""
    order = {
        "images": "image_key", "masks": "mask", "dead_letters": "id", "dead_letters_by_reason": "id", "jobs": "job",
        "models": "name",
    }  # fmt: skip
    return {
        table: sorted(
            (row._asdict() for row in session.execute(f"SELECT * FROM {table}")),
            key=lambda row, column=column: str(row[column]),
        )
        for table, column in order.items()
    }


def test_whatever_was_deleted_or_altered_by_hand_is_made_good_and_nothing_is_counted_twice(
    line, finished, session, kafka, cassandra, s3_client, topic_prefix, keyspace, bucket
):
    everything = (kafka, cassandra, s3_client, topic_prefix, keyspace, bucket, *finished)
    before = all_rows(session)
    events = [event_of(row) for row in before["images"]]
    delete_and_alter_objects(s3_client, bucket, events)
    delete_and_alter_rows(session, before)

    assert kinds(line) == {
        "object-missing": 3,
        "object-altered": 2,
        "row-missing": 2,
        "row-differs": 1,
        "mask-row-missing": 1,
        "job-row-missing": 1,
        "letter-missing": 2,
        "model-row-missing": 1,
    }
    done = line.cli("audit", JOB, "--repair", check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "nothing is off" in done.stdout
    assert kinds(line) == Counter()
    check_of_one_job(*everything)
    after = all_rows(session)
    # no mask twice, and none of an outdated revision
    assert [row["mask"] for row in after["masks"]] == [row["mask"] for row in before["masks"]]
    assert [after[name] for name in ("dead_letters", "dead_letters_by_reason", "models")] == [
        before[name] for name in ("dead_letters", "dead_letters_by_reason", "models")
    ]
    ((job,), (job_before,)) = after["jobs"], before["jobs"]
    assert job["submitted_at"] == job_before["submitted_at"]
    assert event_of(job_before)["state"] == "complete"
    assert event_of(job) | {"time": 0} == event_of(job_before) | {"time": 0}
    events_after = [event_of(row) for row in after["images"]]
    times = {"time": 0, "segmented_at": 0}
    assert [event | times for event in events_after] == [event | times for event in events]
    assert after["images"][5:] == before["images"][5:], "what was not segmented again keeps its revision"

    # two repairs at once, of an image that lost its row and its masks
    delete_image_row(session, before["images"][8])
    s3_client.delete_object(Bucket=bucket, Key=f"watson/{events[8]['masks_object']}")
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda _: line.cli("audit", JOB, "--repair", check=False), range(2)))
    assert [done.returncode for done in both] == [0, 0], [done.stdout + done.stderr for done in both]
    check_of_one_job(*everything)
    assert [row["mask"] for row in all_rows(session)["masks"]] == [row["mask"] for row in before["masks"]]


def check_of_one_job(*everything) -> None:
    """As for a job that nothing happened to."""
    check(*everything)
    kafka, _, _, topic_prefix, *_ = everything
    log = oracle.consume(kafka.brokers, f"{topic_prefix}dead-letters", PARTITIONS)
    assert {event["uri"] for event in log} == everything[-1]


def test_a_picture_whose_original_is_gone_or_changed_too_is_never_made_good_in_silence(
    line, finished, cassandra, s3_client, keyspace, bucket
):
    rows = image_rows(cassandra, keyspace)
    events = [event_of(row) for row in rows]
    gone, changed = events[0], events[1]
    original = {"Bucket": bucket, "Key": gone["original"]["uri"].split("/", 3)[3]}
    kept = s3_client.get_object(**original)["Body"].read()
    for event in (gone, changed):
        s3_client.delete_object(Bucket=bucket, Key=f"watson/{event['normalised']['object']}")
    s3_client.delete_object(**original)
    s3_client.put_object(Bucket=bucket, Key=changed["original"]["uri"].split("/", 3)[3], Body=picture(777))

    done = line.cli("audit", JOB, "--repair", "--no-source", check=False)
    assert done.returncode == 1, done.stderr
    (finding,) = [row for row in done.stdout.splitlines() if "\t" in row]
    assert finding.startswith(f"object-missing\t{rows[0]['image_key']}\t{gone['normalised']['object']}")
    assert "a repair failed: object-missing" in finding
    assert "has changed since" in done.stderr
    assert changed["original"]["uri"] in done.stderr
    after = {str(row["image_key"]): event_of(row) for row in image_rows(cassandra, keyspace)}
    assert len(after) == len(rows)
    assert after[gone["image_key"]] == gone, "still catalogued, and only once"
    assert after[changed["image_key"]]["original"]["sha256"] != changed["original"]["sha256"]
    masks = mask_ids(cassandra, keyspace)
    assert set(masks.values()) == {1}
    assert set(masks) == {mask["mask_id"] for event in after.values() for mask in event["masks"]}
    assert not {mask["mask_id"] for mask in changed["masks"]} & set(masks), "masks of the former picture are left"
    assert line.complete(JOB)
    assert line.status(JOB)["counts"] == {
        "discovered": 15, "preprocessed": 12, "segmented": 12, "catalogued": 12, "quarantined": 3,
    }  # fmt: skip

    s3_client.put_object(**original, Body=kept)
    assert "nothing is off" in line.cli("audit", JOB, "--repair").stdout
    events_now = [event_of(row) for row in image_rows(cassandra, keyspace)]
    oracle.assert_objects_are_right(s3_client, bucket, events_now)
