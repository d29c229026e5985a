from __future__ import annotations

import asyncio

import pytest

from tests.compare.scene import box, scene_in

CAT = box("cat", 10, 10, 60, 60)


@pytest.fixture
def jobs(watson):
    """Two jobs over two pictures; of one of them the second job says dog, and on the other they agree."""

    async def make() -> None:
        async with scene_in(watson.folder) as scene:
            await scene.job("one", {"a.jpg": [CAT], "b.jpg": [CAT]})
            await scene.job("two", {"a.jpg": [box("dog", 10, 10, 60, 60)], "b.jpg": [CAT]})
            await scene.job("going", {"a.jpg": [CAT]}, state="listing")

    asyncio.run(make())


def test_a_table_by_category_goes_to_standard_output_and_the_sums_beside_it(watson, jobs):
    done = watson("diff", "one", "two")
    assert done.code == 0
    assert done.rows == [
        ["cat", "2", "1", "1", "0", "1", "0", "0", "0", "67%"],
        ["dog", "0", "1", "0", "0", "0", "1", "0", "0", "0%"],
    ]
    assert done.err.splitlines() == [
        "1 × cat → dog",
        "2 images compared, 1 of them the same; 0 only before, 0 only after",
        "masks: 1 unchanged, 0 of another shape, 1 of another category, 0 gained, 0 lost; mean disagreement 50%",
    ]


def test_as_json_it_is_one_document(watson, jobs):
    found = watson("diff", "one", "two", "--json").json
    assert found["images"] == {"both": 2, "same": 1, "replaced": 0, "only_before": 0, "only_after": 0}
    assert found["renamed"] == [{"before": "cat", "after": "dog", "masks": 1}]
    assert [one["uri"] for one in found["largest"]] == ["file:///photographs/a.jpg"]
    assert found["before"]["model"] == "model-one@1"


def test_a_page_is_written_where_it_is_wanted(watson, jobs):
    done = watson("diff", "one", "two", "--out", "differences")
    assert "open differences/index.html in a browser" in done.err
    assert "a.jpg" in (watson.folder / "differences/index.html").read_text()


@pytest.fixture
def directories(watson):
    """What ``watson run`` left of two models, each in a directory of its own; neither is in the catalogue."""

    async def make(name: str, category: str) -> None:
        work = watson.folder / name / ".watson"
        work.mkdir(parents=True)
        async with scene_in(work) as scene:
            await scene.job(f"run-{name}", {"a.jpg": [box(category, 10, 10, 60, 60, score=0.5)]})

    asyncio.run(make("cats", "cat"))
    asyncio.run(make("dogs", "dog"))


def test_the_directories_of_two_runs_are_compared_too(watson, directories):
    found = watson("diff", "cats", "dogs/", "--out", "page", "--json").json
    assert (found["before"]["job"], found["after"]["job"]) == ("run-cats", "run-dogs")
    assert found["renamed"] == [{"before": "cat", "after": "dog", "masks": 1}]
    assert (watson.folder / "page/pictures/0001.jpg").is_file()
    suggested = watson("suggest", "cats", "--against", "dogs", "--coco", "next.json").rows
    assert suggested[0][2] == "the jobs disagree by 100%; its 1 masks score 50% on average"


def test_a_directory_and_a_job_of_the_catalogue_are_compared(watson, jobs, directories):
    assert watson("diff", "one", "cats", "--json").json["images"]["both"] == 1


def test_a_directory_without_a_job_is_refused(watson, jobs):
    (watson.folder / "empty/.watson").mkdir(parents=True)

    async def make() -> None:
        async with scene_in(watson.folder / "empty/.watson"):
            pass

    asyncio.run(make())
    assert "empty holds 0 jobs" in watson("diff", "one", "empty").refused()


def test_a_job_that_is_not_done_is_compared_as_far_as_it_is(watson, jobs):
    done = watson("diff", "one", "going")
    assert "job going is listing: it is compared as far as it is" in done.err
    assert "1 only before" in done.err


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["one", "three"], "there is no job 'three'"),
        (["one", "one"], "the same job twice"),
        (["one", "x" * 5000], "there is no job"),
        (["one", "two", "--out", "."], "is not empty"),
    ],
)
def test_what_cannot_be_compared_is_refused(watson, jobs, arguments, why):
    assert why in watson("diff", *arguments).refused()
