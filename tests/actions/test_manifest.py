from __future__ import annotations

import os
from pathlib import Path

import pytest

from watson.actions.manifest import Unacceptable, job_options, make_manifest, source_of
from watson.errors import UserError
from watson.events import DEFAULT_MODEL, JobOptions, Source

OPTIONS = JobOptions()


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_a_relative_directory_is_sent_with_its_absolute_path(here):
    (here / "photographs").mkdir()
    assert source_of("photographs") == Source(kind="directory", uri=str(here / "photographs"))


def test_a_path_of_the_home_directory_is_found(here, monkeypatch):
    monkeypatch.setenv("HOME", str(here))
    (here / "photographs").mkdir()
    assert source_of("~/photographs").uri == str(here / "photographs")


@pytest.mark.parametrize("name", ["a.txt", "a.TXT", "a.jsonl", "a.ndjson"])
def test_a_text_of_lines_is_a_list(here, name):
    write(here / name)
    assert source_of(name).kind == "list"


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        ("uri\n", "list"),
        ("", "list"),
        ("ImageID,Subset\n", "open-images"),
        ("\ufeffImageID,Subset\n", "open-images"),
        ("name,ImageID\n", "list"),
    ],
)
def test_a_csv_file_is_what_its_head_says(here, head, kind):
    write(here / "ids.csv", head)
    assert source_of("ids.csv").kind == kind


@pytest.mark.parametrize(
    ("uri", "kind"),
    [
        ("s3://photos", "s3"),
        ("s3://photos/2026/", "s3"),
        ("S3://photos/2026/", "s3"),
        ("s3://photos.csv", "s3"),
        ("s3://photos/list.csv", "list"),
        ("s3://photos/list.JSONL", "list"),
    ],
)
def test_a_place_in_s3_is_a_prefix_unless_it_is_named_as_a_list_is(uri, kind):
    assert source_of(uri) == Source(kind=kind, uri=uri)


def test_a_file_uri_is_read_with_its_escapes(here):
    (here / "my photographs").mkdir()
    uri = (here / "my photographs").as_uri()
    assert "%20" in uri
    assert source_of(uri) == Source(kind="directory", uri=uri)


def test_a_link_is_what_it_leads_to(here):
    """The workers see the path that is sent, and take the format from its suffix."""
    write(here / "data.csv", "uri\n")
    (here / "list.txt").symlink_to("data.csv")
    assert source_of("list.txt") == Source(kind="list", uri=str(here / "data.csv"))
    write(here / "data")
    (here / "list.jsonl").symlink_to("data")
    with pytest.raises(UserError, match=r"'list\.jsonl' is one file"):
        source_of("list.jsonl")


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("nowhere", "there is no 'nowhere'"),
        ("file:///nowhere/at/all", "there is no 'file:///nowhere/at/all'"),
        ("cat.jpg", "'cat.jpg' is one file: give the directory that it is in"),
        ("", "the source is empty"),
        ("  ", "the source is empty"),
        ("~no-such-person/photographs", "home directory"),
        ("circle", "[Ss]ymlink loop|there is no 'circle'"),  # the words of Python 3.11 and 3.13
        ("http://example.com/cat.jpg", "http:// is not supported"),
        ("s3://", "names no bucket"),
        ("file://elsewhere/photographs", "without a host"),
        ("s3://photos/%ff", "a key is UTF-8"),
    ],
)
def test_a_source_that_cannot_be_read_is_refused_with_the_reason(here, source, why):
    write(here / "cat.jpg")
    (here / "circle").symlink_to("circle")
    with pytest.raises(UserError, match=why):
        source_of(source)


def test_a_pipe_is_refused_rather_than_waited_for(here):
    os.mkfifo(here / "ids.csv")
    with pytest.raises(UserError, match="is one file"):
        source_of("ids.csv")


def test_a_kind_that_is_given_is_not_guessed_so_that_the_place_may_be_one_of_the_workers():
    assert source_of("/mnt/only/there", kind="directory") == Source(kind="directory", uri="/mnt/only/there")


def test_a_kind_that_does_not_exist_is_refused_with_those_that_do():
    with pytest.raises(UserError, match=r"kind: .*'directory', 's3', 'list' or 'open-images'"):
        source_of(".", kind="ftp")


def test_a_template_fills_open_images(here):
    write(here / "ids.csv", "ImageID,Subset\n")
    template = "s3://mine/{subset}/{id}.jpg"
    assert source_of("ids.csv", template=template).template == template


@pytest.mark.parametrize(
    "template", ["s3://mine/{nope}/{id}", "s3://mine/{subset}", "s3://mine/{id", "{id!r}", "{}", ""]
)
def test_a_template_that_cannot_be_filled_is_refused_before_anything_is_sent(here, template):
    write(here / "ids.csv", "ImageID,Subset\n")
    with pytest.raises(UserError, match="template"):
        source_of("ids.csv", template=template)


@pytest.mark.parametrize(
    ("source", "kind"), [(".", "directory"), ("s3://photos/", "s3"), ("s3://photos/a.csv", "list")]
)
def test_a_template_is_of_open_images_alone(source, kind):
    with pytest.raises(UserError, match=f"--template is for --kind open-images; source .* is of kind {kind}"):
        source_of(source, template="s3://mine/{id}")


def manifest_of(**changes):
    said = {
        "source": Source(kind="s3", uri="s3://photos/"),
        "dataset": "street",
        "job": None,
        "model": DEFAULT_MODEL,
        "options": OPTIONS,
    }
    return make_manifest(**{**said, **changes})


def test_asking_twice_is_the_same_job():
    assert manifest_of().job == manifest_of().job


@pytest.mark.parametrize(
    "change",
    [
        {"source": Source(kind="s3", uri="s3://photos/2026/")},
        {"dataset": "streets"},
        {"model": "other"},
        {"options": JobOptions(long_side=512)},
        {"options": JobOptions(weight=2)},
    ],
)
def test_asking_for_something_else_is_another_job(change):
    assert manifest_of(**change).job != manifest_of().job


def test_a_job_that_is_named_has_that_name():
    assert manifest_of(job="mine").job == "mine"


def test_the_job_of_the_longest_name_of_a_dataset_has_a_name_too():
    assert manifest_of(dataset="d" * 100).job.startswith("d" * 60 + "-")


@pytest.mark.parametrize(
    "name", ["", "-a", ".", "a b", "a/b", "ä", "a" * 101, "a\n", "../../etc", "a'; DROP TABLE jobs"]
)
@pytest.mark.parametrize("option", ["job", "dataset"])
def test_a_name_that_is_unsafe_in_a_path_or_a_url_is_refused_with_the_option(name, option):
    with pytest.raises(UserError, match=f"^--{option} .*a name is 1 to 100 letters"):
        manifest_of(**{option: name})


@pytest.mark.parametrize("model", ["", "m" * 201])
def test_a_model_that_cannot_be_named_is_refused(model):
    with pytest.raises(UserError, match="the manifest is not acceptable: model: "):
        manifest_of(model=model)


def test_options_are_those_of_the_manifest():
    options = job_options(512, 0.25, 0.125, ["cat", "dog"], 3.0)
    assert (options.long_side, options.weight) == (512, 3.0)
    assert options.rules.model_dump() == {"least_score": 0.25, "least_area": 0.125, "categories": ("cat", "dog")}


@pytest.mark.parametrize("categories", [None, []])
def test_no_category_named_means_all(categories):
    assert job_options(512, 0.1, 0.1, categories).rules.categories is None


@pytest.mark.parametrize("weight", [0, -1, 101, float("nan"), float("inf")])
def test_a_weight_that_is_none_is_refused(weight):
    with pytest.raises(UserError, match="weight: "):
        job_options(512, 0.1, 0.1, None, weight)


@pytest.mark.parametrize(
    ("make", "problems"),
    [
        (lambda: source_of("nowhere"), {"source"}),
        (lambda: source_of("/", kind="ftp"), {"kind"}),
        (lambda: source_of("/", template="{id}"), {"template"}),
        (lambda: source_of("s3://b/ids.csv", kind="open-images", template="{name}"), {"template"}),
        (lambda: make_manifest(Source(kind="s3", uri="s3://b"), "a b", "c d", "m", OPTIONS), {"dataset", "job"}),
        (lambda: make_manifest(Source(kind="s3", uri="s3://b"), "a b", None, "m", OPTIONS), {"dataset"}),
        (lambda: make_manifest(Source(kind="s3", uri="s3://b"), "a", None, "", OPTIONS), {"model"}),
        (
            lambda: job_options(1, 2, 3, ["x" * 201], 0),
            {"long_side", "weight", "least_score", "least_area", "categories"},
        ),
    ],
)
def test_what_is_wrong_is_told_by_the_field_that_it_is_wrong_with(make, problems):
    with pytest.raises(Unacceptable) as refused:
        make()
    assert refused.value.problems.keys() == problems
    assert all(refused.value.problems.values())
