from __future__ import annotations

import asyncio

import orjson
import pytest

from tests.export.conftest import JOB, Job, ellipse, empty_job, plain
from tests.storage.events import changed
from watson.errors import ReasonCode


@pytest.fixture
def exported(watson):
    """A job of two pictures, one of them with a mask, and one quarantined."""

    async def make() -> Job:
        async with empty_job(watson.folder) as job:
            picture = plain()
            await job.add("file:///photographs/cat.jpg", picture, [ellipse(picture, (0.3, 0.5), (0.2, 0.3), 0, 0.9)])
            await job.add("file:///photographs/wall.jpg", plain(90, 130), [])
            await job.quarantine("file:///photographs/broken.jpg", ReasonCode.TRUNCATED, "truncated")
            return job

    return asyncio.run(make())


def test_an_export_writes_the_dataset_and_says_what_and_where(watson, exported):
    done = watson("export", JOB, "--out", "street")
    assert done.code == 0
    assert done.out == (
        "wrote 2 pictures with 1 masks to street (1 are quarantined); open street/index.html in a browser\n"
    )
    coco = orjson.loads((watson.folder / "street/annotations/instances.json").read_bytes())
    assert (len(coco["images"]), len(coco["annotations"])) == (2, 1)
    assert (watson.folder / "street/index.html").is_file()


def test_an_export_again_replaces_the_dataset_and_leaves_what_others_put_there(watson, exported):
    assert watson("export", JOB, "--out", "street").code == 0
    (watson.folder / "street/notes.txt").write_text("mine")
    (watson.folder / "street/index.html").write_text("altered")
    assert watson("export", JOB, "--out", "street").code == 0
    assert (watson.folder / "street/notes.txt").read_text() == "mine"
    assert "<html" in (watson.folder / "street/index.html").read_text()


def test_a_directory_of_other_files_is_refused_by_name_and_left_as_it_is(watson, exported):
    out = watson.folder / "thesis"
    out.mkdir()
    (out / "chapter.tex").write_text("mine")
    line = watson("export", JOB, "--out", out).refused()
    assert str(out) in line
    assert "chapter.tex" in line
    assert [path.name for path in out.iterdir()] == ["chapter.tex"]


def test_a_file_in_place_of_a_directory_is_refused(watson, exported):
    (watson.folder / "out").write_text("mine")
    assert "out is a file" in watson("export", JOB, "--out", "out").refused()
    assert (watson.folder / "out").read_text() == "mine"


def test_a_directory_under_a_file_is_an_error_of_files(watson, exported):
    (watson.folder / "out").write_text("mine")
    assert "out" in watson("export", JOB, "--out", "out/deeper").refused(74)


@pytest.mark.parametrize("job", ["street", "../..", ""])
def test_a_job_that_there_is_not_makes_no_directory(watson, exported, job):
    assert f"there is no job {job!r}" in watson("export", "--out", "out", "--", job).refused()
    assert not (watson.folder / "out").exists()


def test_an_object_that_is_missing_is_named_and_nothing_is_written(watson, exported):
    victim = min(exported.root.rglob("*.jpg"))
    victim.unlink()
    done = watson("export", JOB, "--out", "out")
    assert (done.code, done.out) == (2, "")
    assert victim.name in done.err
    assert "Traceback" not in done.err
    assert list((watson.folder / "out").iterdir()) == []


def test_a_job_without_pictures_is_an_empty_dataset(watson):
    watson.write(changed("empty"))
    done = watson("export", "empty", "--out", "out")
    assert (done.code, done.out.partition(" to ")[0]) == (0, "wrote 0 pictures with 0 masks")
