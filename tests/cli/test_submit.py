from __future__ import annotations

import pytest

from watson.events import ManifestSubmitted


@pytest.fixture
def photographs(watson):
    folder = watson.folder / "photographs"
    folder.mkdir()
    return folder


def test_with_the_broker_away_one_line_says_where_it_was_looked_for(watson, photographs):
    line = watson("submit", photographs, "-d", "street").refused(69)
    assert watson.settings.brokers in line
    assert "WATSON_BROKERS" in line


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["nowhere", "-d", "street"], "there is no 'nowhere'"),
        (["", "-d", "street"], "the source is empty"),
        (["photographs", "-d", "my street"], "--dataset 'my street'"),
        (["photographs", "-d", "street", "--job", "a/b"], "--job 'a/b'"),
        (["photographs", "-d", "street", "--kind", "ftp"], "kind: "),
        (["photographs", "-d", "street", "--template", "{id}"], "--template is for --kind open-images"),
        (["photographs", "-d", "street", "--kind", "open-images", "--template", "{name}"], "template '{name}'"),
        (["photographs", "-d", "street", "--weight", "0"], "weight: "),
    ],
)
def test_what_is_wrong_is_said_before_the_broker_is_asked(watson, photographs, arguments, why):
    assert why in watson("submit", *arguments).refused()


@pytest.mark.services
def test_a_manifest_says_all_that_was_asked_for(watson, photographs, cluster):
    done = watson(
        "submit", photographs, "--dataset", "street", "--job", "street-1", "--model", "test-threshold@2",
        "--long-side", 512,
        "--least-score", 0.25, "--least-area", 0.5, "--category", "cat", "--category", "dog", "--weight", 3,
    )  # fmt: skip
    assert done.out == "submitted job street-1; follow it with: watson status street-1\n"
    (event,) = cluster.events("manifests")
    assert isinstance(event, ManifestSubmitted)
    assert event.model_dump(exclude={"time"}) == {
        "job": "street-1",
        "dataset": "street",
        "source": {"kind": "directory", "uri": str(photographs), "template": None},
        "model": "test-threshold@2",
        "options": {
            "long_side": 512,
            "rules": {"least_score": 0.25, "least_area": 0.5, "categories": ("cat", "dog")},
            "weight": 3.0,
        },
    }


@pytest.mark.services
def test_submitting_twice_is_the_same_job_and_json_tells_its_name(watson, photographs, cluster):
    first, second = (watson("submit", photographs, "-d", "street", "--json").json for _ in range(2))
    assert first == second
    assert first.keys() == {"job", "dataset"}
    assert [(event.job, event.dataset) for event in cluster.events("manifests")] == [(first["job"], "street")] * 2


@pytest.mark.services
def test_topics_of_another_number_of_partitions_are_refused_and_nothing_is_sent(watson, photographs, cluster):
    line = watson("submit", photographs, "-d", "street", WATSON_PARTITIONS="3").refused()
    assert "must have 3 partitions" in line
    assert "manifests has 2" in line
    assert cluster.events("manifests") == []
