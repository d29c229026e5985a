"""From a model file to what can be registered; whatever is wrong is said before anything is kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.model.kinds import luma
from watson.errors import UserError
from watson.events import DEFAULT_MODEL
from watson.model.description import read_description
from watson.model.preparing import ReadyModel, prepare
from watson.model.weights import sha256_of

pytestmark = pytest.mark.usefixtures("luma_kind")

TOML = """
name = "street"
kind = "test-luma"
weights = "edges.json"
licence = "MIT"
base = "efficientnet_lite0"

[configuration]
category = "car"

[metrics]
mean_iou = 0.5
"""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    luma.write_weights(tmp_path / "edges.json")
    path = tmp_path / "model.toml"
    path.write_text(TOML)
    return path


def _prepared(path: Path) -> ReadyModel:
    folder = path.parent / "made"
    folder.mkdir()
    return prepare(read_description(path), folder)


def _json(folder: Path, **changes: Any) -> Path:
    fields = {"name": "street", "kind": "test-luma", "weights": "edges.json"} | changes
    luma.write_weights(folder / "edges.json")
    path = folder / "model.json"
    path.write_text(json.dumps({name: value for name, value in fields.items() if value is not None}))
    return path


def test_a_model_file_becomes_a_card_an_event_and_weights(model: Path) -> None:
    ready = _prepared(model)
    assert ready.card.categories == ("car",)
    assert ready.card.configuration == {"category": "car", "fails": False}, "every default is written out"
    assert ready.card.weights_sha256 == sha256_of(ready.weights)
    assert ready.event.key == ready.card.reference
    assert (ready.event.licence, ready.event.base, ready.event.metrics) == (
        "MIT",
        "efficientnet_lite0",
        {"mean_iou": 0.5},
    )


def test_toml_and_json_say_the_same(model: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = _json(tmp_path / "other", configuration={"category": "car"})
    assert _prepared(other).card == _prepared(model).card


def test_the_licence_of_the_source_stands_in_where_the_file_says_none(tmp_path: Path) -> None:
    assert _prepared(_json(tmp_path)).event.licence == "CC0-1.0"


def test_a_hash_that_fits_is_accepted(tmp_path: Path) -> None:
    sha256 = sha256_of(luma.write_weights(tmp_path / "edges.json"))
    assert _prepared(_json(tmp_path, sha256=sha256)).card.weights_sha256 == sha256


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"name": "a b"}, "name: "),
        ({"name": None}, "name: Field required"),
        ({"name": DEFAULT_MODEL}, "which Watson brings: choose another"),
        ({"kind": "resnet"}, "no kind of model 'resnet'. Known: .*test-luma"),
        ({"weights": "nowhere.pth"}, "no weights at .*nowhere.pth"),
        ({"weights": None}, "needs weights"),
        ({"weights": None, "sha256": "a" * 64}, "no weights that it could be of"),
        ({"sha256": "a" * 64}, "not aaaa"),
        ({"sha256": "A"}, "sha256: "),
        ({"colour": "red"}, "colour: Extra inputs"),
        ({"configuration": {"colour": "red"}}, "no 'colour'"),
        ({"configuration": {"category": "x" * 201}}, "categories.0: "),
        ({"configuration": {"fails": True}}, "fails on a grey picture: ValueError: no luck"),
        ({"metrics": {"mean_iou": "high"}}, "metrics.mean_iou: "),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    path = _json(tmp_path, **changes)
    with pytest.raises(UserError, match=says):
        _prepared(path)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("model.toml", b"name = ", "cannot be read"),
        ("model.toml", b"\xff\xfe", "cannot be read"),
        ("model.json", b"[1]", "is wrong"),
        ("model.json", b"{", "cannot be read"),
        ("model.toml", b"#" * 4_000_001, "is it the weights themselves"),
    ],
)
def test_a_file_that_is_no_model_file_is_refused(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=says):
        read_description(tmp_path / name)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No such file"):
        read_description(tmp_path / "model.toml")
