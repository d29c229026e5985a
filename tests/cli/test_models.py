"""`watson models`: register, look, withdraw; against a real broker."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from tests.cli.conftest import Cluster
from tests.cli.shell import Shell
from tests.model.kinds import luma
from tests.storage.events import changed, evaluated
from watson.events import DEFAULT_MODEL, ManifestSubmitted, ModelRegistered, ModelWithdrawn
from watson.model.kinds import KINDS
from watson.storage.connect_catalogue import catalogue


@pytest.fixture
def street(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The file of a model."""
    monkeypatch.setitem(KINDS, luma.NAME, luma.MODULE)
    luma.write_weights(tmp_path / "edges.json")
    path = tmp_path / "street.toml"
    path.write_text('name = "street"\nkind = "test-luma"\nweights = "edges.json"\n')
    return path


def _project(watson: Shell, *events: object) -> None:
    """What the project role would do."""

    async def put() -> None:
        rows = catalogue(watson.settings)
        await rows.migrate()
        await rows.open()
        for event in events:
            if isinstance(event, ModelRegistered):
                await rows.put_model(event)
            elif isinstance(event, ModelWithdrawn):
                await rows.put_model_withdrawn(event)
        await rows.close()

    asyncio.run(put())


@pytest.mark.services
def test_a_model_is_registered_and_submitted_by_name(watson: Shell, cluster: Cluster, street: Path) -> None:
    added = watson("models", "add", str(street))
    assert added.code == 0, added.err
    (event,) = cluster.events("models")
    assert isinstance(event, ModelRegistered)
    assert added.out == f"registered {event.key}: a job can name it, --model street\n"
    (Path("photos")).mkdir()
    submitted = watson("submit", "photos", "--dataset", "d", "--model", "street")
    assert submitted.code == 0, submitted.err
    (manifest,) = cluster.events("manifests")
    assert isinstance(manifest, ManifestSubmitted)
    assert manifest.model == event.key, "the name is resolved once, and recorded"


@pytest.mark.services
def test_the_same_model_added_twice_is_one_version(watson: Shell, cluster: Cluster, street: Path) -> None:
    keys = [json.loads(watson("models", "add", str(street), "--json").out)["model"] for _ in range(2)]
    assert len(set(keys)) == 1
    luma.write_weights(street.parent / "edges.json", 1, 2)
    assert json.loads(watson("models", "add", str(street), "--json").out)["model"] != keys[0]


@pytest.mark.services
def test_a_model_that_nobody_registered_cannot_be_submitted(watson: Shell, cluster: Cluster) -> None:
    Path("photos").mkdir()
    refused = watson("submit", "photos", "--dataset", "d", "--model", "nope")
    assert refused.code == 2
    assert f"There is no model 'nope'. Known: {DEFAULT_MODEL}" in refused.err
    assert cluster.events("manifests") == []


@pytest.mark.services
def test_a_withdrawn_model_is_named_no_more(watson: Shell, cluster: Cluster, street: Path) -> None:
    watson("models", "add", str(street))
    _project(watson, *cluster.events("models"))
    withdrawn = watson("models", "rm", "street")
    assert withdrawn.code == 0, withdrawn.err
    assert isinstance(cluster.events("models")[-1], ModelWithdrawn)
    Path("photos").mkdir()
    assert watson("submit", "photos", "--dataset", "d", "--model", "street").code == 2
    _project(watson, *cluster.events("models"))
    assert "street" not in watson("models", "list").out


@pytest.mark.services
def test_a_model_that_a_running_job_uses_is_withdrawn_only_by_force(
    watson: Shell, cluster: Cluster, street: Path
) -> None:
    watson("models", "add", str(street))
    (event,) = cluster.events("models")
    _project(watson, event)

    async def run() -> None:
        rows = catalogue(watson.settings)
        await rows.open()
        await rows.put_job(changed("busy", model=event.key, state="listing"))
        await rows.close()

    asyncio.run(run())
    refused = watson("models", "rm", event.key)
    assert refused.code == 2
    assert "used by busy" in refused.err
    assert watson("models", "rm", event.key, "--force").code == 0


def test_without_a_broker_nothing_is_kept(watson: Shell, street: Path) -> None:
    refused = watson("models", "add", str(street))
    assert refused.code == 69
    assert not list(Path("objects").rglob("*street*"))


def test_a_wrong_model_file_is_a_line_and_code_2(watson: Shell, street: Path) -> None:
    street.write_text(street.read_text().replace("test-luma", "resnet"))
    refused = watson("models", "add", str(street))
    assert refused.code == 2
    assert "there is no kind of model 'resnet'" in refused.err
    assert "Traceback" not in refused.err


def test_models_that_watson_brings_are_listed_and_shown_before_any_job(watson: Shell) -> None:
    watson("catalogue", "migrate")
    listed = watson("models", "list")
    assert listed.code == 0
    assert listed.out.startswith(f"{DEFAULT_MODEL}@")
    assert "test-threshold" not in listed.out
    shown = json.loads(watson("models", "show", DEFAULT_MODEL, "--json").out)
    assert (shown["licence"], len(shown["categories"])) == ("Apache-2.0", 1000)
    assert watson("models", "show", "nope").code == 2


def test_evaluations_are_shown_with_their_model(watson: Shell) -> None:
    watson("catalogue", "migrate")

    async def put() -> None:
        rows = catalogue(watson.settings)
        await rows.open()
        await rows.put_model(
            ModelRegistered(
                name="street",
                model_version="1",
                model_kind="k",
                weights_sha256="0" * 64,
                weights_size=3,
                categories=("car",),
            )
        )
        await rows.put_evaluation(evaluated("street", "1", "north"))
        await rows.put_evaluation(evaluated("street", "2", "north"))
        await rows.close()

    asyncio.run(put())
    shown = json.loads(watson("models", "show", "street", "--json").out)
    assert shown["evaluations"] == [{"dataset": "north", "images": 10, "metrics": {"mean_iou": 1 / 3}}]
    assert "0.333" in watson("models", "list").out
