from __future__ import annotations

import pytest

from tests.storage.events import NOON, at, catalogued, changed
from watson.storage.catalogue import StageCount


def job(name: str, *images, number: int = 0, **changes) -> list:
    """A job that is done, with its images and counts."""
    counts = [
        StageCount(job=name, stage=stage, partition=0, count=len(images), time=NOON)
        for stage in ("discovered", "catalogued")
    ]
    return [changed(name, time=at(number), **{"state": "complete", **changes}), *images, *counts]


@pytest.fixture
def street(watson):
    """A dataset of one job with two images."""
    watson.write(*job("street-1", catalogued("street-1", "a"), catalogued("street-1", "b", ("dog",)), dataset="street"))


@pytest.fixture
def snapshot(watson, street) -> str:
    return watson("datasets", "snapshot", "street").out.strip()


def test_a_snapshot_prints_its_id_alone_and_says_what_is_in_it(watson, street):
    done = watson("datasets", "snapshot", "street")
    assert done.code == 0
    assert len(done.out) == 65
    assert done.err == "2 images, 2 masks of 2 categories\n"
    assert (watson.folder / f"objects/snapshots/{done.out.strip()}.json").is_file()


def test_taking_it_again_prints_the_same_id_and_says_so(watson, snapshot):
    done = watson("datasets", "snapshot", "street")
    assert done.out.strip() == snapshot
    assert "taken before" in done.err


def test_as_json_a_snapshot_is_its_record(watson, street):
    taken = watson("datasets", "snapshot", "street", "--json").json
    assert (taken["dataset"], taken["images"], taken["new"]) == ("street", 2, True)
    assert taken["jobs"][0]["options"]["rules"]["least_score"] == 0.1
    assert watson("datasets", "show", taken["id"], "--json").json == {k: v for k, v in taken.items() if k != "new"}


def test_images_that_a_newer_job_has_too_are_said_to_be_superseded(watson, snapshot):
    watson.write(*job("street-2", catalogued("street-2", "a", model="m@2"), dataset="street", number=1))
    done = watson("datasets", "snapshot", "street")
    assert "1 images of job street-1 are superseded by a newer job's" in done.err
    assert watson("datasets", "snapshot", "street", "--job", "street-1").out.strip() == snapshot


def test_a_job_that_is_not_done_is_refused_unless_asked_for(watson):
    watson.write(*job("street-1", catalogued("street-1", "a"), dataset="street", state="listing"))
    line = watson("datasets", "snapshot", "street").refused()
    assert "job street-1 of dataset street is listing" in line
    assert "--partial" in line
    assert watson("datasets", "snapshot", "street", "--partial").code == 0


def test_datasets_are_listed_with_their_newest_snapshot(watson, snapshot):
    watson.write(*job("birds-1", dataset="birds", number=1))
    assert watson("datasets", "list").rows == [["birds", "1", "0", "0", "-"], ["street", "1", "2", "1", snapshot[:12]]]
    birds, street = watson("datasets", "list", "--json").json
    assert (birds["dataset"], birds["snapshots"]) == ("birds", [])
    assert [one["id"] for one in street["snapshots"]] == [snapshot]
    assert street["jobs"][0]["images"] == 2


def test_without_datasets_there_is_a_word_on_standard_error(watson):
    watson.migrate()
    done = watson("datasets", "list")
    assert (done.code, done.out) == (0, "")
    assert "no datasets yet" in done.err
    assert watson("datasets", "list", "--json").json == []


def test_a_dataset_is_shown_with_its_jobs_and_snapshots(watson, snapshot):
    rows = watson("datasets", "show", "street").rows
    assert rows[0][:4] == ["street-1", "complete", "2", "m@1"]
    assert (rows[2][0], rows[2][2:]) == (snapshot[:12], ["2", "2"])
    assert watson("datasets", "show", "street", "--json").json["snapshots"][0]["id"] == snapshot


def test_a_snapshot_is_shown_by_its_first_digits_with_what_made_it(watson, snapshot):
    shown = dict.fromkeys(map(tuple, watson("datasets", "show", snapshot[:12]).rows))
    assert ("snapshot", snapshot) in shown
    assert ("job", "street-1 (complete): 2 images of /photos, 0 superseded") in shown
    assert ("rules", "least score 0.1, least area 0.005, all categories") in shown
    assert ("category", "cat: 1") in shown


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("birds", "there is no dataset 'birds', and 'birds' is no snapshot"),
        ("0000", "there is no dataset '0000', and there is no snapshot 0000"),
        ("", "there is no dataset ''"),
    ],
)
def test_what_is_neither_dataset_nor_snapshot_is_refused(watson, street, name, why):
    assert why in watson("datasets", "show", name).refused()


def test_a_dataset_that_there_is_not_has_no_snapshot(watson, street):
    assert (
        "there is no dataset 'birds' in the catalogue; known: street"
        in watson("datasets", "snapshot", "birds").refused()
    )


@pytest.fixture
def later(watson, snapshot) -> str:
    """A snapshot of the same dataset, after a job that has one picture more and one anew."""
    watson.write(
        *job(
            "street-2",
            catalogued("street-2", "b", ("dog", "cat"), model="m@2"),
            catalogued("street-2", "c\x1b[2J"),
            dataset="street",
            number=1,
        )
    )
    return watson("datasets", "snapshot", "street").out.strip()


def test_two_snapshots_are_compared_by_category_and_image(watson, snapshot, later):
    done = watson("datasets", "diff", snapshot[:12], later[:12])
    assert done.code == 0
    assert done.rows[:2] == [["cat", "1", "3", "2", "0"], ["dog", "1", "1", "1", "1"]]
    assert sorted(done.rows[2:]) == [["gained", "file:///c\\x1b[2J"], ["model,masks", "file:///b"]]
    assert done.err == "images: 1 gained, 0 lost, 1 changed, 1 unchanged (masks of 1, model of 1)\n"


def test_as_json_the_difference_is_one_document(watson, snapshot, later):
    found = watson("datasets", "diff", snapshot, later, "--json", "--most", "1").json
    assert (found["before"], found["after"], found["same"]) == (snapshot, later, False)
    assert found["images"] == {"gained": 1, "lost": 0, "changed": 1, "unchanged": 1}
    assert found["categories"]["cat"] == {"before": 1, "after": 3, "gained": 2, "lost": 0}
    assert len(found["examples"]) == 1


def test_a_snapshot_does_not_differ_from_itself(watson, snapshot):
    done = watson("datasets", "diff", snapshot, snapshot)
    assert done.err == "the same: 2 images\n"
    assert watson("datasets", "diff", snapshot, snapshot, "--json").json["same"] is True


def test_a_snapshot_whose_content_was_altered_is_not_compared(watson, snapshot):
    (part,) = (watson.folder / "objects/snapshot-parts").rglob("*.gz")
    part.write_bytes(b"altered by hand")
    assert part.name in watson("datasets", "diff", snapshot, snapshot).refused()
