from __future__ import annotations

import asyncio
import json
import sqlite3

import pytest

from tests.ledger import JOB, Ledger, key, written
from watson.agents.replay import replay
from watson.audit import Audit
from watson.cli.audit import _print
from watson.events import REDRIVE, REPAIR, TOPICS, Record

NUMBERS = {
    "job",
    "state",
    "listed",
    "unlisted",
    "discovered",
    "preprocessed",
    "segmented",
    "catalogued",
    "quarantined",
    "in_flight",
    "objects",
}


@pytest.fixture(scope="module")
def original(kafka, tmp_path_factory):
    with written(kafka.brokers, tmp_path_factory.mktemp("audited")) as ledger:
        yield ledger


@pytest.fixture
def ledger(watson, original, tmp_path) -> Ledger:
    copy = original.copy(tmp_path)
    watson.set(**copy.environment())
    return copy


def test_with_the_broker_away_it_ends_with_69(watson):
    watson.migrate()
    done = watson("audit", JOB)
    assert (done.code, done.out) == (69, "")
    assert watson.settings.brokers in done.err.splitlines()[-1]
    assert "Traceback" not in done.err


def test_a_finding_is_one_line_of_three_cells_whatever_the_source_lists(capsys):
    audit = Audit("job")
    audit.add("not-discovered", None, "in the source:\x1b[2J\nnothing is off")
    _print(audit)
    first, last = capsys.readouterr().out.splitlines()
    assert first == "not-discovered\t-\tin the source:\\x1b[2J nothing is off"
    assert last.endswith("1 findings")


def test_a_job_of_which_images_are_in_flight_is_not_done_and_ends_with_1(watson, monkeypatch):
    async def audited(*_: object, **__: object) -> Audit:
        return Audit("job", state="listing", unlisted=5, discovered=3, catalogued=1, in_flight=2)

    watson.migrate()
    monkeypatch.setattr("watson.audit.audit", audited)
    done = watson("audit", "job")
    assert done.code == 1
    assert "nothing is off, but the job is not done: it is listing, 5 of its source are not listed" in done.out


@pytest.mark.services
def test_a_ledger_that_closes_ends_with_0_and_its_numbers(watson, ledger):
    done = watson("audit", JOB)
    assert done.code == 0
    assert done.out == (
        "3 discovered = 2 catalogued + 1 quarantined + 0 in flight; 4 objects checked; nothing is off\n"
    )
    assert done.err.splitlines()[0] == "reading the log"


@pytest.mark.services
def test_what_is_off_is_a_line_each_and_ends_with_1(watson, ledger, original):
    ledger.object("masks/a.json.gz").unlink()
    done = watson("audit", JOB)
    assert done.code == 1
    finding, last = done.rows
    assert finding[:2] == ["object-missing", str(key(original, "a"))]
    assert "masks/a.json.gz" in finding[2]
    assert last[0].endswith("1 findings")


@pytest.mark.services
def test_as_json_the_numbers_and_findings_are_one_document(watson, ledger, original):
    clean = watson("audit", JOB, "--json")
    assert (clean.code, clean.json["clean"], clean.json["findings"]) == (0, True, [])
    assert clean.json["closed"] is True
    assert clean.json.keys() == {*NUMBERS, "clean", "closed", "findings"}
    ledger.object("masks/a.json.gz").write_text("altered")
    off = watson("audit", JOB, "--json")
    assert (off.code, off.json["clean"]) == (1, False)
    (finding,) = json.loads(off.out)["findings"]
    assert finding.keys() == {"kind", "image_key", "detail", "object_key"}
    assert finding["object_key"] == "masks/a.json.gz"
    assert (finding["kind"], finding["image_key"]) == ("object-altered", str(key(original, "a")))


@pytest.mark.services
def test_the_source_is_listed_again_unless_that_is_not_wanted(watson, ledger, original):
    added = original.source / "new"
    added.touch()
    try:
        assert watson("audit", JOB).rows[0][0] == "not-discovered"
        assert watson("audit", JOB, "--no-source").code == 0
    finally:
        added.unlink()


@pytest.mark.services
def test_a_job_that_the_log_does_not_know_is_a_finding(watson, ledger):
    done = watson("audit", "streeet")
    assert (done.code, done.rows[0][0]) == (1, "job-unknown")


@pytest.mark.services
def test_without_the_topics_it_says_how_to_make_them(watson, kafka, topic_prefix):
    watson.migrate()
    done = watson("audit", JOB, WATSON_BROKERS=kafka.brokers, WATSON_TOPIC_PREFIX=topic_prefix)
    assert done.code == 2
    assert "watson topics create" in done.err.splitlines()[-1]


# ---------------------------------------------------------------------- repairs, with no worker at work
@pytest.mark.services
def test_a_repair_where_nothing_is_off_sends_nothing(watson, ledger, original):
    before = ends(original)
    done = watson("audit", JOB, "--repair")
    assert (done.code, done.err.count("reading the log")) == (0, 1)
    assert done.out.endswith("nothing is off\n")
    assert ends(original) == before


@pytest.mark.services
def test_a_repair_of_what_nothing_can_be_done_about_says_so_and_sends_nothing(watson, ledger, original):
    added, before = original.source / "new", ends(original)
    added.touch()
    try:
        done = watson("audit", JOB, "--repair")
    finally:
        added.unlink()
    assert (done.code, done.rows[0][0]) == (1, "not-discovered")
    assert ends(original) == before


@pytest.mark.services
def test_a_repair_whose_workers_are_away_ends_in_time_names_the_role_and_sends_what_the_log_said(
    watson, ledger, original
):
    before = ends(original)
    ledger.object("masks/a.json.gz").unlink()
    ledger.object("preprocessed/b.jpg").write_text("altered")
    with sqlite3.connect(ledger.database) as database:
        database.execute("DELETE FROM images WHERE image_key = ?", (key(original, "b").bytes,))
    done = watson("audit", JOB, "--repair", "--wait", 1, "--json")
    assert (done.code, done.json["clean"]) == (1, False)
    (note,) = done.json["notes"]
    assert note.startswith("not done within 1 s: discover has 2 events to go")
    assert {(one["kind"], one["remedy"]) for one in done.json["repaired"]} == {
        ("object-missing", "segmented anew"),
        ("object-altered", "made anew from the source picture"),
        ("row-missing", "rows written again from the log"),
    }
    assert [one["kind"] for one in done.json["found_before"]] == [one["kind"] for one in done.json["findings"]]
    sent = {topic: end - before[topic] for topic, end in ends(original).items() if end != before[topic]}
    assert sent == {"catalogued": 1}, "rows first; the rest waits for the line"
    (again,) = [record for record in records(original, "catalogued") if record.header(REDRIVE) == REPAIR]
    assert any(
        (first.key, first.value) == (again.key, again.value)
        and set(first.headers) < set(again.headers)
        and first.partition == again.partition
        for first in records(original, "catalogued")
    )


def records(ledger: Ledger, topic: str) -> list[Record]:
    async def read() -> list[Record]:
        return [record async for record in replay(ledger.settings, [topic])]

    return asyncio.run(read())


def ends(ledger: Ledger) -> dict[str, int]:
    """Number of records by topic."""
    return {topic: len(records(ledger, topic)) for topic in TOPICS}
