from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from tests.services.process import wait_until
from tests.storage.events import NOON, at, changed
from watson.events import now
from watson.storage.catalogue import StageCount

JOB = "street-1"
KEYS = {"job", "dataset", "source", "model", "state", "message", "listed", "resumes", "submitted_at", "counts"}
COUNTS = {"discovered": 5, "preprocessed": 4, "segmented": 3, "catalogued": 3, "quarantined": 1}


def counts(job: str = JOB, partition: int = 0, **numbers: int) -> list[StageCount]:
    return [
        StageCount(job=job, stage=stage, partition=partition, count=count, time=NOON)
        for stage, count in {**COUNTS, **numbers}.items()
    ]


def test_jobs_are_listed_newest_first_one_a_line_with_tabs_and_no_colours(watson):
    watson.write(changed("first", state="complete"), changed("second", time=at(60_000_000)), *counts("second"))
    done = watson("jobs", "list")
    assert (done.code, done.err) == (0, "")
    assert done.rows == [
        ["second", "animals", "listing", "5", "3", "1", "m@1", "2026-03-14T12:01"],
        ["first", "animals", "complete", "0", "0", "0", "m@1", "2026-03-14T12:00"],
    ]


def test_a_model_named_to_deceive_moves_no_cursor(watson):
    watson.write(changed(JOB, model="\x1b[2J\tm\n"))
    assert watson("jobs", "list").out == "street-1\tanimals\tlisting\t0\t0\t0\t\\x1b[2J m\t2026-03-14T12:00\n"


def test_jobs_as_json_are_one_document_with_counts_over_all_partitions(watson):
    watson.write(changed(JOB), *counts(), *counts(partition=1))
    (row,) = watson("jobs", "list", "--json").json
    assert row.keys() == KEYS
    assert (row["job"], row["state"], row["submitted_at"]) == (JOB, "listing", NOON.isoformat())
    assert row["counts"] == {stage: 2 * count for stage, count in COUNTS.items()}


def test_no_jobs_are_no_rows_and_a_word_on_standard_error(watson):
    watson.migrate()
    done = watson("jobs", "list")
    assert (done.code, done.out) == (0, "")
    assert done.err == "no jobs yet: watson submit --help\n"
    assert watson("jobs", "list", "--json").json == []


@pytest.mark.parametrize("state", ["listing", "draining", "complete"])
def test_status_of_a_job_that_is_well_ends_with_0(watson, state):
    watson.write(changed(JOB, state=state), *counts())
    done = watson("status", JOB, "--once")
    assert (done.code, done.err) == (0, "")
    (line,) = done.out.splitlines()
    assert line.startswith(f"{state}: 5 discovered, 4 preprocessed, 3 segmented, 3 catalogued, 1 quarantined")


@pytest.mark.parametrize("how", [["--once"], ["--json"], ["--follow"], []])
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"state": "cancelled"}, "watson: job street-1 was cancelled\n"),
        ({"state": "failed", "message": "no such bucket"}, "watson: job street-1 failed: no such bucket\n"),
        ({"state": "failed"}, "watson: job street-1 failed: no reason given\n"),
        ({"state": "paused", "message": "50 failed"}, "watson: job street-1 is paused: 50 failed\n"),
    ],
)
def test_status_of_a_job_that_failed_or_is_paused_or_was_cancelled_ends_with_1_and_says_so(watson, how, change, said):
    watson.write(changed(JOB, **change))
    done = watson("status", JOB, *how)
    assert (done.code, done.err) == (1, said)
    assert change["state"] in done.out


def test_status_as_json_is_one_document_and_does_not_wait_for_the_end(watson):
    watson.write(changed(JOB), *counts())
    done = watson("status", JOB, "--json")
    assert done.code == 0
    assert done.json.keys() == KEYS
    assert done.json["counts"] == COUNTS
    assert done.json["source"] == {"kind": "directory", "uri": "/photos", "template": None}


def test_status_follows_a_job_until_it_has_ended(watson):
    watson.write(changed(JOB), *counts())

    def end() -> None:
        assert wait_until(lambda: "listing" in watson.out.getvalue(), seconds=30)
        watson.write(changed(JOB, time=at(1), state="complete"), *counts(catalogued=4))

    other = threading.Thread(target=end)
    other.start()
    done = watson("status", JOB)
    other.join()
    assert (done.code, done.err) == (0, "")
    assert [line.partition(":")[0] for line in done.out.splitlines()] == ["listing", "complete"]


@pytest.mark.parametrize("how", ["--once", "--json"])
@pytest.mark.parametrize("job", ["street-2", "../../etc/passwd", "a'; DROP TABLE jobs", "", "ä", "[red]", "a" * 5000])
def test_status_of_a_job_that_there_is_not_is_refused_at_once_with_those_that_there_are(watson, job, how, monkeypatch):
    watson.write(changed(JOB))
    monkeypatch.setattr("watson.cli.jobs._PATIENCE_SECONDS", 3600.0)  # waiting would outlast this test
    assert watson("status", how, "--", job).refused().endswith("in the catalogue; known: street-1")
    assert [row[0] for row in watson("jobs", "list").rows] == [JOB]


@pytest.mark.parametrize("state", ["complete", "failed", "cancelled"])
def test_cancelling_a_job_that_has_ended_says_so_and_sends_nothing(watson, state):
    watson.write(changed(JOB, state=state))
    done = watson("jobs", "cancel", JOB)  # there is no broker: sending would fail
    assert (done.code, done.out, done.err) == (0, f"job street-1 has ended already: it is {state}\n", "")


def test_cancelling_a_job_that_there_is_not_is_refused(watson):
    watson.migrate()
    assert "there is no job 'street-1'" in watson("jobs", "cancel", JOB).refused()


def test_cancelling_with_the_broker_away_says_where_it_was_looked_for(watson):
    watson.write(changed(JOB))
    line = watson("jobs", "cancel", JOB).refused(69)
    assert watson.settings.brokers in line
    assert "WATSON_BROKERS" in line


@pytest.mark.services
def test_cancelling_sends_one_cancellation_of_that_job(watson, cluster):
    watson.write(changed(JOB), changed("other"))
    assert watson("jobs", "cancel", JOB).out == "cancelling job street-1\n"
    (event,) = cluster.events("manifests")
    assert (type(event).__name__, event.job) == ("JobCancelled", JOB)


@pytest.mark.services
def test_cancelling_is_later_than_the_submission_also_where_the_submitters_clock_is_ahead(watson, cluster):
    submitted = now() + timedelta(hours=1)
    watson.write(changed(JOB, time=submitted))  # stands in for the manifest's time, which is not known here
    watson("jobs", "cancel", JOB)
    (event,) = cluster.events("manifests")
    assert event.time > submitted


@pytest.mark.services
def test_cancelling_without_topics_says_how_to_make_them(watson, kafka, topic_prefix):
    watson.write(changed(JOB))
    watson.set(WATSON_BROKERS=kafka.brokers, WATSON_TOPIC_PREFIX=topic_prefix)
    assert f"{topic_prefix}manifests. Run `watson topics create`" in watson("jobs", "cancel", JOB).refused()


@pytest.mark.parametrize("state", ["listing", "draining", "complete", "failed", "cancelled"])
def test_resuming_a_job_that_is_not_paused_says_so_and_sends_nothing(watson, state):
    watson.write(changed(JOB, state=state))
    done = watson("jobs", "resume", JOB)  # there is no broker: sending would fail
    assert (done.code, done.out, done.err) == (0, f"job street-1 is not paused: it is {state}\n", "")


@pytest.mark.parametrize("state", ["paused", "complete", "failed", "cancelled"])
def test_pausing_a_job_that_does_not_run_says_so_and_sends_nothing(watson, state):
    watson.write(changed(JOB, state=state))
    done = watson("jobs", "pause", JOB)
    assert (done.code, done.out, done.err) == (0, f"job street-1 is not running: it is {state}\n", "")


@pytest.mark.parametrize("what", ["pause", "resume"])
def test_pausing_or_resuming_a_job_that_there_is_not_is_refused(watson, what):
    watson.migrate()
    assert "there is no job 'street-1'" in watson("jobs", what, JOB).refused()


@pytest.mark.services
@pytest.mark.parametrize(
    ("command", "before", "after", "sent", "said"),
    [
        (["resume"], {"state": "paused", "resumes": 2}, {"resumes": 3}, {"retry": True}, "resumed job street-1: it is"),
        (["resume", "--no-retry"], {"state": "paused", "resumes": 2}, {"resumes": 3}, {"retry": False}, "resumed job"),
        (["pause"], {"resumes": 2}, {"state": "paused", "resumes": 2}, {}, "job street-1 is paused"),
    ],
)
def test_pausing_and_resuming_send_one_event_and_wait_until_the_job_has_obeyed(
    watson, cluster, command, before, after, sent, said
):
    watson.write(changed(JOB, **before))

    def obey() -> None:
        assert wait_until(lambda: cluster.events("manifests"), seconds=30)
        watson.write(changed(JOB, time=at(1), **after))

    worker = threading.Thread(target=obey)
    worker.start()
    done = watson("jobs", *command, JOB)
    worker.join()
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(said)
    (event,) = cluster.events("manifests")
    assert event.model_dump(exclude={"time"}) == {"job": JOB, "resumes": 2, **sent}


@pytest.mark.services
def test_resuming_without_workers_says_that_the_job_follows_as_soon_as_they_run(watson, cluster, monkeypatch):
    watson.write(changed(JOB, state="paused"))
    monkeypatch.setattr("watson.cli.jobs._OBEYED_SECONDS", 0.3)
    assert "do the discover and project workers run?" in watson("jobs", "resume", JOB).refused(69)
    assert len(cluster.events("manifests")) == 1
