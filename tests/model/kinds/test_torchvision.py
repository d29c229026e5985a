"""Kind ``torchvision``: what is checked and completed when a model is registered."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torchvision.models import Weights, WeightsEnum

from tests.model.kinds.torchvision_files import SMALLEST, loaded, network, saved
from watson.errors import UserError
from watson.model.description import ModelDescription
from watson.model.kinds import kind_named, state_dicts
from watson.model.kinds import torchvision as kind
from watson.model.preparing import prepare
from watson.model.weights import sha256_of

pytestmark = pytest.mark.torch

NAMES: list[Any] = ["cat", "dog"]
GIVEN: dict[str, Any] = {"architecture": SMALLEST, "categories": NAMES, "resize": 64}


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(network(SMALLEST, 3), tmp_path_factory.mktemp("weights") / "mine.pth")


def test_the_kind_is_found_by_its_name() -> None:
    assert kind_named("torchvision") is kind


def test_every_default_is_written_out(weights: Path, tmp_path: Path) -> None:
    prepared = kind.prepare(GIVEN, weights, tmp_path)
    assert prepared.configuration == {
        "algorithm": 1,
        "architecture": SMALLEST,
        "weights": None,
        "categories": ["cat", "dog"],
        "precision": "float32",
        "least_area": 0.002,
        "most": 100,
        "resize": 64,
        "longest": 2080,
        "compile": False,
    }
    assert prepared.categories == ("cat", "dog")
    again = tmp_path / "again"
    again.mkdir()
    assert kind.prepare(prepared.configuration, weights, again).configuration == prepared.configuration


def test_what_is_kept_is_the_same_bytes_however_it_was_given(weights: Path, tmp_path: Path) -> None:
    tensors = torch.load(weights, weights_only=True)
    backwards = dict(reversed(tensors.items()))
    half_way = {f"module.{name}": tensor for name, tensor in backwards.items()}
    torch.save({"model": half_way, "epoch": 3}, tmp_path / "wrapped.pth")
    torch.save({"state_dict": backwards}, tmp_path / "lightning.ckpt")
    save_file(tensors, tmp_path / "safe")  # its kind is in the bytes, not in the name
    torch.save(
        {name: tensor for name, tensor in tensors.items() if "num_batches" not in name}
        | {"aux_classifier.0.weight": torch.zeros(3)},
        tmp_path / "auxiliary.pth",
    )
    hashes = set()
    for path in (weights, *sorted(tmp_path.iterdir())):
        folder = tmp_path / f"kept-{path.stem}"
        folder.mkdir()
        hashes.add(sha256_of(kind.prepare(GIVEN, path, folder).weights))
    assert len(hashes) == 1


def test_the_command_line_that_torchvisions_own_training_saves_does_not_disturb(weights: Path, tmp_path: Path) -> None:
    import argparse

    model = torch.load(weights, weights_only=True)
    torch.save({"model": model, "args": argparse.Namespace(lr=0.01)}, tmp_path / "checkpoint.pth")
    assert kind.prepare(GIVEN, tmp_path / "checkpoint.pth", tmp_path).categories == ("cat", "dog")


class Malicious:
    """Touches a file when it is unpickled."""

    def __init__(self, touched: Path) -> None:
        self.touched = touched

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.touched,)


@pytest.mark.parametrize("legacy", [False, True])
def test_a_pickle_with_code_is_refused_and_its_code_does_not_run(tmp_path: Path, legacy: bool) -> None:
    touched = tmp_path / "touched"
    torch.save({"x": Malicious(touched)}, tmp_path / "evil.pth", _use_new_zipfile_serialization=not legacy)
    with pytest.raises(UserError, match=r"holds more than tensors.*it was not run"):
        kind.prepare(GIVEN, tmp_path / "evil.pth", tmp_path)
    assert not touched.exists()
    torch.load(tmp_path / "evil.pth", weights_only=False)
    assert touched.exists()  # so it was one


@pytest.mark.parametrize("content", [b"", b"{}", b"\x08\0\0\0\0\0\0\0{garbage", b"PK\x03\x04", b"\x80\x02."])
def test_a_file_that_is_no_weights_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(UserError, match="file"):
        kind.prepare(GIVEN, tmp_path / "file", tmp_path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"There is no file .*missing\.pth"):
        kind.prepare(GIVEN, tmp_path / "missing.pth", tmp_path)


@pytest.mark.parametrize(
    ("tensor", "why"),
    [
        (lambda: torch.zeros(1).expand(2**40), "claims 1099511627776 numbers and has fewer"),
        (lambda: torch.zeros(3, 3).to_sparse(), "no plain array of numbers"),
        (lambda: torch.zeros(3, device="meta"), "no plain array of numbers"),
        (lambda: torch.zeros(3, dtype=torch.complex64), "no plain array of numbers"),
    ],
    ids=["stride 0", "sparse", "meta", "complex"],
)
def test_tensors_that_are_no_arrays_are_refused_by_name(
    weights: Path, tmp_path: Path, tensor: Callable[[], torch.Tensor], why: str
) -> None:
    tensors = torch.load(weights, weights_only=True) | {"aux_classifier.x": tensor()}
    torch.save(tensors, tmp_path / "odd.pth")
    with pytest.raises(UserError, match=rf"aux_classifier.x {why}|aux_classifier.x is {why}"):
        kind.prepare(GIVEN, tmp_path / "odd.pth", tmp_path)


@given(st.integers(0, 2**32 - 1), st.booleans())
@settings(max_examples=30, deadline=None)
def test_a_damaged_file_is_refused_in_a_line_whatever_was_damaged(seed: int, legacy: bool) -> None:
    random = np.random.default_rng(seed)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "w.pth"
        torch.save({"a": torch.zeros(4)}, path, _use_new_zipfile_serialization=not legacy)
        data = bytearray(path.read_bytes())
        for place in random.integers(0, len(data), 3):
            data[place] = random.integers(0, 256)
        path.write_bytes(data)
        with suppress(UserError):
            state_dicts.read(path)


def test_weights_that_make_a_network_say_nothing_are_refused_when_they_are_tried(weights: Path, tmp_path: Path) -> None:
    tensors = torch.load(weights, weights_only=True)
    name = next(name for name in tensors if name.endswith("running_var"))
    tensors[name] = tensors[name] - 1e6  # the root of it is no number
    torch.save(tensors, tmp_path / "nan.pth")
    with pytest.raises(UserError, match="NaN or infinite"):
        prepare(
            ModelDescription(name="mine", kind="torchvision", weights=tmp_path / "nan.pth", configuration=GIVEN),
            tmp_path,
        )


@pytest.mark.parametrize("content", [[1, 2], {}, {"model": {"epoch": 3, "lr": 0.1}}])
def test_a_file_of_something_else_than_tensors_is_refused(tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / "other.pth")
    with pytest.raises(UserError, match=r"other\.pth holds"):
        kind.prepare(GIVEN, tmp_path / "other.pth", tmp_path)


def test_other_tensors_are_refused_and_a_few_of_them_named(weights: Path, tmp_path: Path) -> None:
    tensors = torch.load(weights, weights_only=True)
    tensors["classifier.cbr.0.bias"] = torch.zeros(2)
    tensors["backbone.0.0.weight"] = torch.zeros(1, 2)
    del tensors["classifier.high_classifier.bias"]
    torch.save(tensors, tmp_path / "other.pth")
    with pytest.raises(UserError) as refused:
        kind.prepare(GIVEN, tmp_path / "other.pth", tmp_path)
    assert str(refused.value) == (
        "The weights are not this network's: it lacks classifier.high_classifier.bias; the network has no "
        "classifier.cbr.0.bias; another shape has backbone.0.0.weight (1×2 instead of 16×3×3×3)."
    )


def test_weights_of_another_architecture_are_refused(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"not those of fcn_resnet50: they have no classifier\.4\.weight"):
        kind.prepare(GIVEN | {"architecture": "fcn_resnet50"}, weights, tmp_path)


@pytest.mark.parametrize("names", [["cat"], ["background", "cat", "dog"]])
def test_another_number_of_categories_than_the_head_has_is_refused(
    weights: Path, tmp_path: Path, names: list[str]
) -> None:
    with pytest.raises(UserError, match=f"background and 2 categories, but {len(names)} categories are named"):
        kind.prepare(GIVEN | {"categories": names}, weights, tmp_path)


def test_without_categories_those_of_the_default_weights_must_fit(weights: Path, tmp_path: Path) -> None:
    given = {"architecture": SMALLEST}
    with pytest.raises(UserError, match="background and 2 categories, but 20 categories are named"):
        kind.prepare(given, weights, tmp_path)
    prepared = kind.prepare(given, saved(network(SMALLEST, 21), tmp_path / "voc.pth"), tmp_path)
    assert len(prepared.categories) == 20
    assert prepared.categories[0] == "aeroplane"
    assert prepared.description.endswith("those of COCO_WITH_VOC_LABELS_V1: they were not given")
    assert "not given" not in kind.prepare(GIVEN, weights, tmp_path).description


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"architecture": "resnet50"}, "architecture: Input should be 'deeplabv3_mobilenet_v3_large'"),
        ({"min_size": 3}, "min_size: there is no such key here. Known: .*resize"),
        ({"resize": "64"}, "resize: Input should be a valid integer"),
        ({"least_area": 2}, "least_area: Input should be less than or equal to 1"),
        ({"precision": "int8"}, "precision: Input should be 'float32', 'bfloat16' or 'float16'"),
        ({"categories": []}, "categories: Tuple should have at least 1 item"),
        ({"categories": ["cat", "Cat"]}, "Two categories have one name: 'cat'"),
        ({"categories": [None, None]}, "No category has a name"),
        ({"categories": ["cat", " "]}, "categories.1"),
    ],
)
def test_a_wrong_configuration_is_refused_and_the_key_named(
    weights: Path, tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    with pytest.raises(UserError, match=said):
        kind.prepare(GIVEN | change, weights, tmp_path)


def test_without_architecture_the_key_is_named(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="architecture: Field required"):
        kind.prepare({}, weights, tmp_path)


def test_without_file_and_name_of_weights_both_ways_are_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r'Give a file .* "weights": "COCO_WITH_VOC_LABELS_V1"'):
        kind.prepare(GIVEN, None, tmp_path)


def test_an_unknown_name_of_weights_is_refused_and_the_known_ones_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"no 'COCO_V9' for {SMALLEST}. Known: \"COCO_WITH_VOC_LABELS_V1\""):
        kind.prepare(GIVEN | {"weights": "COCO_V9"}, None, tmp_path)


def published(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Let torchvision's weights of every architecture be one file elsewhere."""

    class Elsewhere(WeightsEnum):
        V1 = Weights(url=url, transforms=None, meta={"categories": ["__background__", "sun", "N/A"]})
        DEFAULT = V1

    monkeypatch.setattr(torchvision.models, "get_model_weights", lambda _: Elsewhere)


@pytest.fixture
def hub(tmp_path: Path) -> Any:
    before = torch.hub.get_dir()
    torch.hub.set_dir(str(tmp_path / "hub"))
    yield
    torch.hub.set_dir(before)


@pytest.mark.usefixtures("hub")
def test_torchvisions_weights_are_fetched_by_its_own_hub_with_their_categories(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a ``file:`` address: the hub's code is the real one, the network is not there."""
    there = tmp_path / f"net-{hashlib.sha256(weights.read_bytes()).hexdigest()[:8]}.pth"
    there.write_bytes(weights.read_bytes())
    published(monkeypatch, there.as_uri())
    prepared = kind.prepare({"architecture": SMALLEST, "weights": "V1"}, None, tmp_path)
    assert prepared.categories == ("sun",)
    assert prepared.configuration["categories"] == ["sun", None]
    assert prepared.configuration["weights"] == "V1"
    assert prepared.description == f"torchvision's {SMALLEST}, weights V1"


@pytest.mark.usefixtures("hub")
def test_fetched_weights_of_another_hash_are_refused(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "net-01234567.pth").write_bytes(weights.read_bytes())
    published(monkeypatch, (tmp_path / "net-01234567.pth").as_uri())
    with pytest.raises(UserError, match=r"V1 cannot be downloaded \(invalid hash value"):
        kind.prepare({"architecture": SMALLEST, "weights": "V1"}, None, tmp_path)


@pytest.mark.usefixtures("hub")
def test_weights_that_cannot_be_fetched_say_how_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    published(monkeypatch, "http://127.0.0.1:9/net-01234567.pth")
    with pytest.raises(UserError, match=r"cannot be downloaded .*Fetch http://127\.0\.0\.1:9/net-01234567\.pth"):
        kind.prepare({"architecture": SMALLEST, "weights": "V1"}, None, tmp_path)


def test_a_file_that_torchvision_published_is_known_by_its_hash(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published(monkeypatch, f"http://127.0.0.1:9/net-{sha256_of(weights)[:8]}.pth")
    prepared = kind.prepare({"architecture": SMALLEST}, weights, tmp_path)
    assert prepared.configuration["weights"] == "V1"
    assert prepared.categories == ("sun",)


def test_a_file_that_is_not_what_the_configuration_says_is_refused(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not hold torchvision's COCO_WITH_VOC_LABELS_V1"):
        kind.prepare({"architecture": SMALLEST, "weights": "COCO_WITH_VOC_LABELS_V1"}, weights, tmp_path)


@pytest.mark.parametrize(("device", "said"), [("cuda:77", "cannot be used"), ("meta", "none of cpu"), ("x", "used")])
def test_a_device_that_is_not_there_is_named(weights: Path, tmp_path: Path, device: str, said: str) -> None:
    prepared = kind.prepare(GIVEN, weights, tmp_path)
    info = loaded(prepared).info
    with pytest.raises(UserError, match=f"'{device}' \\(WATSON_DEVICE\\).*{said}"):
        kind.load(info, prepared.configuration, prepared.weights, device=device, torch_threads=1)


def test_kept_weights_that_are_something_else_are_refused(weights: Path, tmp_path: Path) -> None:
    prepared = kind.prepare(GIVEN, weights, tmp_path)
    info = loaded(prepared).info
    with pytest.raises(UserError, match="does not hold the tensors of a registered model"):
        kind.load(info, prepared.configuration, weights, device="cpu", torch_threads=1)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_weights_of_a_training_that_diverged_are_refused(weights: Path, tmp_path: Path, number: float) -> None:
    made = kind.prepare(GIVEN, weights, tmp_path)
    tensors = load_file(made.weights)
    name = next(name for name, tensor in sorted(tensors.items()) if tensor.is_floating_point())
    tensors[name].view(-1)[0] = number
    save_file(tensors, tmp_path / "diverged.safetensors")
    with pytest.raises(UserError, match=f"NaN or infinite numbers .{name}"):
        kind.prepare(GIVEN, tmp_path / "diverged.safetensors", tmp_path)
