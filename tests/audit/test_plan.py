"""What is sent again for what: the table of docs/operations.md."""

from pathlib import Path
from uuid import uuid4

import pytest

from watson.audit.findings import KINDS, Finding
from watson.audit.plan import REMEDIES, Plan, Remedy, plan

IMAGE, OTHER = uuid4(), uuid4()
PAGE = (Path(__file__).parents[2] / "docs/operations.md").read_text()


def of(kind, image=IMAGE, *, object_key=None, **options) -> Plan:
    known = options.pop("known", frozenset())
    return plan([Finding(kind, str(image) if image else None, "", object_key)], known, **options)


def test_every_kind_has_a_remedy_or_is_said_to_have_none():
    assert REMEDIES.keys() == set(KINDS)


def test_operators_are_told_of_each_kind_whether_a_repair_helps():
    rows = [line.split("|") for line in PAGE.splitlines() if line.startswith("| `")]
    said = {kind: row[3].strip() for row in rows for kind in KINDS if f"`{kind}`" in row[1]}
    assert said.keys() == set(KINDS)
    assert {kind for kind, what in said.items() if what.startswith("no")} == {
        kind for kind, remedy in REMEDIES.items() if remedy is Remedy.NONE
    }


@pytest.mark.parametrize("kind", ["object-missing", "object-altered"])
def test_a_picture_comes_from_its_source_and_masks_from_the_picture(kind):
    assert of(kind, object_key="preprocessed/1-1024/x.jpg").source == {IMAGE}
    made = of(kind, object_key="masks/x.json.gz")
    assert (made.picture, made.source) == ({IMAGE}, set())


def test_an_image_that_lost_both_is_done_from_the_source_on_and_once():
    findings = [
        Finding("object-missing", str(IMAGE), "", "masks/x.json.gz"),
        Finding("object-altered", str(IMAGE), "", "preprocessed/x.jpg"),
        Finding("object-missing", str(OTHER), "", "masks/y.json.gz"),
    ]
    made = plan(findings, frozenset())
    assert (made.source, made.picture) == ({IMAGE}, {OTHER})


@pytest.mark.parametrize("kind", ["row-missing", "row-differs", "mask-row-missing", "mask-row-differs"])
def test_rows_are_written_again_without_any_work(kind):
    assert of(kind) == Plan(of(kind).remedies, rows={IMAGE})


def test_an_open_letter_of_a_catalogued_image_is_written_again_with_the_image():
    made = of("letter-without-event", known=frozenset({IMAGE}))
    assert (made.letters, made.rows) == ({IMAGE}, {IMAGE})
    assert not of("letter-without-event"), "the log knows no such letter"


def test_wrong_counts_are_said_again_and_only_then_is_everything_sent_down_the_line():
    first = of("count-wrong", None)
    assert (first.job, first.redrive) == (True, False)
    second = of("count-wrong", None, again=True)
    second.leave_out(first)
    assert (second.job, second.redrive) == (False, True)


def test_what_did_not_help_is_not_sent_again():
    first, second = of("object-missing", object_key="preprocessed/x.jpg"), of("object-missing", object_key="p/x.jpg")
    second.leave_out(first)
    assert not second


@pytest.mark.parametrize("kind", [kind for kind, remedy in REMEDIES.items() if remedy is Remedy.NONE])
def test_what_cannot_be_repaired_sends_nothing(kind):
    assert not of(kind)
    assert of(kind, None).remedies == {(kind, Remedy.NONE): 1}
