from __future__ import annotations

import asyncio
import json

import pytest

from tests.compare.scene import box, scene_in


@pytest.fixture
def jobs(watson):
    """Two jobs over three pictures: of one the model is sure, of one it is not, and on one the second job differs."""

    async def make() -> None:
        async with scene_in(watson.folder) as scene:
            masks = {
                "sure.jpg": [box("cat", 10, 10, 60, 60, score=1)],
                "unsure.jpg": [box("cat", 10, 10, 60, 60, score=0.25)],
                "other.jpg": [box("dog", 10, 10, 60, 60, score=1)],
            }
            await scene.job("one", masks)
            await scene.job("two", {**masks, "other.jpg": [box("wolf", 10, 10, 60, 60)]}, state="listing")

    asyncio.run(make())


def test_the_pictures_in_doubt_are_listed_with_the_reason(watson, jobs):
    done = watson("suggest", "one")
    assert done.code == 0
    assert done.rows == [["0.32", "file:///photographs/unsure.jpg", "its 1 masks score 25% on average"]]
    assert done.err == "1 of 3 images, 1 of 2 categories; of the others nothing is in doubt\n"


def test_against_another_job_disagreement_counts_too(watson, jobs):
    done = watson("suggest", "one", "--against", "two", "-n", 1)
    assert done.rows == [["0.33", "file:///photographs/other.jpg", "the jobs disagree by 100%"]]
    assert "job two is listing: it is looked at as far as it is" in done.err


def test_as_json_the_parts_of_the_doubt_are_told(watson, jobs):
    found = watson("suggest", "one", "--against", "two", "--json").json
    assert found["images"] == 3
    assert found["categories"] == {"dog": {"images": 1, "chosen": 1}, "cat": {"images": 2, "chosen": 1}}
    assert [one["uri"].rpartition("/")[2] for one in found["suggestions"]] == ["other.jpg", "unsure.jpg"]
    assert found["suggestions"][0]["doubt"] == {"unsure": 0, "contested": 0, "disagreement": 1}


@pytest.mark.parametrize("name", ["next.jsonl", "next.txt"])
def test_a_list_is_written_that_another_job_can_be_submitted_with(watson, jobs, name):
    done = watson("suggest", "one", "--out", name)
    assert f"watson submit {name} takes it" in done.err
    assert "file:///photographs/unsure.jpg" in (watson.folder / name).read_text()
    assert watson("submit", name, "--dataset", "next").code == 69  # the list is fine, there is no broker


def test_the_masks_found_are_written_for_labelling_tools(watson, jobs):
    done = watson("suggest", "one", "--coco", "next.json")
    assert "wrote next.json: 1 masks to begin with" in done.err
    document = json.loads((watson.folder / "next.json").read_text())
    assert [image["file_name"] for image in document["images"]] == ["unsure.jpg"]
    assert document["annotations"][0]["segmentation"][0][:2] != []


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["three"], "there is no job 'three'"),
        (["one", "--against", "three"], "there is no job 'three'"),
        (["one", "--against", "one"], "the same job twice"),
        (["one", "--out", "next.csv"], ".jsonl"),
        (["one", "--out", "a.jsonl", "--coco", "a.jsonl"], "name one file"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_written(watson, jobs, arguments, why):
    assert why in watson("suggest", *arguments).refused()
    assert not list(watson.folder.glob("*.jsonl"))


def test_a_file_that_cannot_be_written_is_an_error_of_files(watson, jobs):
    assert "nowhere" in watson("suggest", "one", "--out", "nowhere/next.jsonl").refused(74)
