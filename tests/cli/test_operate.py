from __future__ import annotations

import sqlite3
import subprocess
import sys

import pytest

from tests.ledger import JOB, ODD, written
from tests.storage.events import changed
from watson.events import TOPICS
from watson.worker import ROLES


def test_migrating_twice_does_no_harm(watson):
    first = watson("catalogue", "migrate")
    assert (first.code, first.out) == (0, "applied 0001_tables\napplied 0002_evaluations\napplied 0003_finding\n")
    second = watson("catalogue", "migrate")
    assert (second.code, second.out) == (0, "the schema is up to date\n")
    assert watson("jobs", "list").code == 0


def test_a_catalogue_of_a_newer_watson_is_refused(watson):
    watson.migrate()
    with sqlite3.connect(watson.database) as database:
        database.execute("INSERT INTO schema_steps VALUES (9999, '9999_future', '')")
    for arguments in (["catalogue", "migrate"], ["jobs", "list"]):
        assert "newer" in watson(*arguments).refused()


def test_a_catalogue_where_no_file_can_be_is_refused(watson):
    (watson.folder / "file").touch()
    assert "cannot be made" in watson("catalogue", "migrate", WATSON_CATALOGUE="sqlite:file/catalogue.db").refused()


@pytest.mark.parametrize("role", ["segmnt", "", "Segment", "../discover"])
def test_a_role_that_there_is_not_is_refused_with_those_that_there_are(watson, role):
    line = watson("worker", role).refused()
    assert line == f"watson: there is no role {role!r}; the roles are {', '.join(ROLES)}"


def test_the_help_of_worker_names_every_role(watson):
    assert all(role in watson("worker", "--help").out for role in ROLES)


def test_a_worker_whose_broker_stays_away_ends_with_69_and_says_where_it_was_looked_for(watson):
    done = subprocess.run(
        [sys.executable, "-m", "watson", "worker", "catalogue"],
        capture_output=True, text=True, check=False, timeout=100,
    )  # fmt: skip
    assert done.returncode == 69
    assert watson.settings.brokers in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_topics_with_the_broker_away_end_with_69(watson):
    assert watson.settings.brokers in watson("topics", "create").refused(69)


@pytest.mark.parametrize("answer", ["n\n", "\n", ""])
def test_a_rebuild_that_is_not_confirmed_empties_nothing(watson, answer):
    watson.write(changed(JOB))
    done = watson("project", "rebuild", typed=answer)
    assert done.code == 1
    assert str(watson.database) in done.out
    assert [row[0] for row in watson("jobs", "list").rows] == [JOB]


@pytest.mark.parametrize("how", [{"typed": "y\n"}, {}])
def test_a_rebuild_with_the_broker_away_empties_nothing(watson, how):
    watson.write(changed(JOB))
    done = watson("project", "rebuild", *([] if how else ["--yes"]), **how)
    assert done.code == 69
    assert [row[0] for row in watson("jobs", "list").rows] == [JOB]


@pytest.mark.services
def test_topics_are_made_once_and_named(watson, kafka, topic_prefix):
    watson.set(WATSON_BROKERS=kafka.brokers, WATSON_TOPIC_PREFIX=topic_prefix, WATSON_PARTITIONS="2")
    first = watson("topics", "create")
    made = {line.removeprefix("created ") for line in first.out.splitlines()}
    assert first.code == 0
    assert made >= {topic_prefix + name for name in TOPICS}
    assert f"{topic_prefix}watson-segment-marks-changelog" in made
    second = watson("topics", "create")
    assert (second.code, second.out) == (0, "all topics are there\n")


@pytest.mark.services
def test_topics_of_another_number_of_partitions_are_refused(watson, cluster):
    assert "must have 5 partitions" in watson("topics", "create", WATSON_PARTITIONS="5").refused()


@pytest.mark.services
def test_topics_that_the_broker_refuses_are_an_error_of_one_line(watson, kafka, topic_prefix):
    watson.set(WATSON_BROKERS=kafka.brokers, WATSON_TOPIC_PREFIX=topic_prefix, WATSON_PARTITIONS="1")
    assert "could not be made" in watson("topics", "create", WATSON_REPLICATION="3").refused()


@pytest.mark.services
def test_a_rebuild_makes_the_catalogue_what_the_log_says(watson, kafka, tmp_path):
    with written(kafka.brokers, tmp_path) as ledger:
        watson.set(**ledger.environment())
        watson.write(changed("invented"))
        done = watson("project", "rebuild", "--yes")
        assert done.code == 0
        assert done.out.startswith("rebuilt from ")
        assert {row[0] for row in watson("jobs", "list").rows} == {JOB, ODD}
