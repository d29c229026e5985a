from __future__ import annotations

import json

import pytest

from tests.ledger import JOB, Ledger, key, written
from watson.audit import Audit
from watson.cli.audit import _print

NUMBERS = {
    "job",
    "listed",
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
    assert clean.json.keys() == {*NUMBERS, "clean", "findings"}
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
