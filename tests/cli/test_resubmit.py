from __future__ import annotations

import pytest

from tests.storage.events import changed
from watson.actions.manifest import make_manifest
from watson.events import JobOptions, Rules, Source

FIRST, SECOND = "test-threshold@1", "test-threshold@2"
SOURCE = Source(kind="s3", uri="s3://photos/2026/")
OPTIONS = JobOptions(long_side=512, weight=2, rules=Rules(least_score=0.3, least_area=0.01, categories=("cat", "dog")))


@pytest.fixture
def job(watson) -> str:
    manifest = make_manifest(SOURCE, "street", None, FIRST, OPTIONS)
    event = changed(manifest.job, dataset="street", source=SOURCE, model=FIRST, options=OPTIONS, state="complete")
    watson.write(event)
    return manifest.job


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["none", "--model", SECOND], "there is no job 'none'"),
        (["JOB"], "itself"),
        (["JOB", "--model", FIRST], "itself"),
        (["JOB", "--job", "JOB", "--model", SECOND], "itself"),
        (["JOB", "--dataset", "my street"], "--dataset 'my street'"),
        (["JOB", "--job", "a/b"], "--job 'a/b'"),
        (["JOB", "--weight", "0"], "weight: "),
        (["JOB", "--model", "m" * 201], "model: "),
        (["JOB", "--category", "cat", "--all-categories"], "contradict"),
    ],
)
def test_what_is_wrong_is_said_before_the_broker_is_asked(watson, job, arguments, why):
    assert why in watson("resubmit", *(job if word == "JOB" else word for word in arguments)).refused()


def test_with_the_broker_away_one_line_says_so(watson, job):
    assert "WATSON_BROKERS" in watson("resubmit", job, "--model", SECOND).refused(69)


@pytest.mark.services
def test_another_model_gets_the_same_pictures_with_the_same_options(watson, job, cluster):
    done = watson("resubmit", job, "--model", SECOND)
    (event,) = cluster.events("manifests")
    assert done.out == f"submitted job {event.job}; follow it with: watson status {event.job}\n"
    assert (event.dataset, event.source, event.model, event.options) == ("street", SOURCE, SECOND, OPTIONS)
    assert event.job != job


@pytest.mark.services
def test_asking_twice_is_the_same_job_and_submitting_the_same_is_too(watson, job, cluster):
    first, second = (watson("resubmit", job, "--model", SECOND, "--json").json for _ in range(2))
    assert first == second
    assert first == {
        "job": make_manifest(SOURCE, "street", None, SECOND, OPTIONS).job,
        "dataset": "street",
        "model": SECOND,
        "resubmits": job,
    }


@pytest.mark.services
def test_rules_weight_and_dataset_can_be_others(watson, job, cluster):
    watson(
        "resubmit", job, "--least-score", 0, "--least-area", 0.5, "--category", "bird", "--weight", 1,
        "--dataset", "birds", "--job", "birds-1",
    )  # fmt: skip
    watson("resubmit", job, "--all-categories", "--job", "all-1")
    events = {event.job: event for event in cluster.events("manifests")}
    first, second = events["birds-1"], events["all-1"]
    assert first.options == JobOptions(
        long_side=512, weight=1, rules=Rules(least_score=0, least_area=0.5, categories=("bird",))
    )
    assert (first.dataset, first.model) == ("birds", FIRST)
    assert second.options.rules == OPTIONS.rules.model_copy(update={"categories": None})
