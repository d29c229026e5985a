"""Kind ``onnx``: any network in a file that onnxruntime runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from tests.model.kinds.colours import BIAS, GIVEN, WEIGHT, check_names_colours, red_and_green, with_input, with_output
from watson.errors import UserError
from watson.model.kinds import kind_named
from watson.model.kinds import onnx as kind
from watson.model.kinds.brought import BroughtSegmenter, Configuration
from watson.model.kinds.configuration import parsed
from watson.model.segmenter import ModelInfo, Segmenter

INFO = ModelInfo("mine", "0" * 12, "onnx", "0" * 64, ("red", "green"))


def written(
    path: Path,
    nodes: list[Any],
    outputs: dict[str, tuple[int, list[Any]]],
    constants: dict[str, Any] | None = None,
    shape: Any = ("n", 3, "h", "w"),
    dtype: int = TensorProto.FLOAT,
) -> Path:
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("pixels", dtype, list(shape))],
        [helper.make_tensor_value_info(name, kind, sizes) for name, (kind, sizes) in outputs.items()],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in (constants or {}).items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path


MAP: dict[str, tuple[int, list[Any]]] = {"map": (TensorProto.FLOAT, ["n", 3, "h", "w"])}
CONSTANTS = {"weight": WEIGHT, "bias": BIAS}


@pytest.fixture
def colours(tmp_path: Path) -> Path:
    return written(
        tmp_path / "colours.onnx", [helper.make_node("Conv", ["pixels", "weight", "bias"], ["map"])], MAP, CONSTANTS
    )


def loaded(given: dict[str, Any], path: Path, device: str = "cpu") -> Segmenter:
    prepared = kind.prepare(given, path, path.parent)
    assert prepared.weights == path
    assert prepared.categories == ("red", "green")
    return kind.load(INFO, prepared.configuration, prepared.weights, device=device, torch_threads=1)


def test_the_kind_is_found_by_its_name() -> None:
    assert kind_named("onnx") is kind


@pytest.mark.parametrize("size", [{}, {"longest": None, "width": 40, "height": 72}, {"batch": True}])
def test_a_semantic_network_names_colours(colours: Path, size: dict[str, Any]) -> None:
    check_names_colours(loaded(with_input(**size), colours))


def test_pictures_that_go_together_come_back_each_to_its_own(colours: Path) -> None:
    """As on a GPU, to which this network takes several pictures at once."""
    configuration = parsed(Configuration, with_input(batch=True))
    network = kind._Network(colours, configuration, device="cpu", threads=1)
    shapes: list[tuple[int, ...]] = []

    def counted(batch: NDArray[Any]) -> dict[str, NDArray[Any]]:
        shapes.append(batch.shape)
        return network(batch)

    pictures = [red_and_green(), red_and_green(48, 64), red_and_green()[:, ::-1].copy()]
    found = BroughtSegmenter(counted, INFO, configuration, alone=False).segment(pictures)
    assert shapes == [(2, 3, 64, 48), (1, 3, 48, 64)]
    for picture, one in zip(pictures, found, strict=True):
        masks = {instance.category: instance.mask for instance in one.instances}
        assert np.array_equal(masks["red"], picture[..., 0] > 127)


def test_every_default_is_written_out(colours: Path) -> None:
    prepared = kind.prepare(GIVEN, colours, colours.parent)
    assert prepared.configuration == {
        "algorithm": 1,
        "input": {
            "name": None,
            "width": None,
            "height": None,
            "longest": 64,
            "multiple": 8,
            "layout": "NCHW",
            "colour": "RGB",
            "scale": 1 / 255,
            "mean": [0.0, 0.0, 0.0],
            "std": [1.0, 1.0, 1.0],
            "dtype": "float32",
            "batch": False,
        },
        "output": {
            "kind": "semantic-logits",
            "name": None,
            "background": 0,
            "least_area": 0.002,
            "most": 100,
        },
        "categories": ["red", "green"],
    }
    assert kind.prepare(prepared.configuration, colours, colours.parent) == prepared


def test_a_network_of_labels_and_of_uint8_in_the_other_layout_names_colours(tmp_path: Path) -> None:
    path = written(
        tmp_path / "labels.onnx",
        [
            helper.make_node("Cast", ["pixels"], ["floats"], to=TensorProto.FLOAT),
            helper.make_node("Div", ["floats", "most"], ["scaled"]),
            helper.make_node("Transpose", ["scaled"], ["planes"], perm=[0, 3, 1, 2]),
            helper.make_node("Conv", ["planes", "weight", "bias"], ["logits"]),
            helper.make_node("ArgMax", ["logits"], ["labels"], axis=1, keepdims=0),
        ],
        {"labels": (TensorProto.INT64, ["n", "h", "w"])},
        {"most": np.float32(255), "weight": WEIGHT[:, ::-1], "bias": BIAS},
        shape=("n", "h", "w", 3),
        dtype=TensorProto.UINT8,
    )
    given = with_input(layout="NHWC", dtype="uint8", colour="BGR") | {"output": {"kind": "semantic-labels"}}
    check_names_colours(loaded(given, path))


def test_a_network_of_instances_names_colours(tmp_path: Path) -> None:
    path = written(
        tmp_path / "instances.onnx",
        [
            helper.make_node("Gather", ["pixels", "colours"], ["both"], axis=1),
            helper.make_node("Squeeze", ["both", "first"], ["masks"]),
            helper.make_node("Identity", ["numbers"], ["labels"]),
            helper.make_node("Identity", ["sure"], ["scores"]),
        ],
        {
            "labels": (TensorProto.INT64, [2]),
            "scores": (TensorProto.FLOAT, [2]),
            "masks": (TensorProto.FLOAT, [2, "h", "w"]),
        },
        {"colours": [0, 1], "first": [0], "numbers": [1, 2], "sure": np.float32([0.95, 0.99])},
    )
    model = loaded(GIVEN | {"output": {"kind": "instances"}}, path)
    check_names_colours(model)
    assert [one.category for one in model.segment([red_and_green()])[0].instances] == ["green", "red"]


@pytest.mark.torch
@pytest.mark.slow
def test_what_torch_exports_says_what_it_said_in_torch(tmp_path: Path) -> None:
    import torch

    from tests.model.kinds.torchvision_files import SMALLEST, network, picture

    class Plain(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network(SMALLEST, 4)

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            output: torch.Tensor = self.network(pixels)["out"]
            return output

    torch.set_num_threads(1)
    plain, shown = Plain().eval(), picture(64, 96)
    pixels = torch.from_numpy(shown).permute(2, 0, 1)[None].float() / 255
    program = torch.onnx.export(plain, (pixels,), dynamo=True)
    program.save(tmp_path / "exported.onnx")
    given = {
        "input": {"width": 96, "height": 64},
        "output": {"kind": "semantic-logits", "least_area": 0.0},
        "categories": ["cat", "dog", "bird"],
    }
    prepared = kind.prepare(given, tmp_path / "exported.onnx", tmp_path)
    model = kind.load(INFO, prepared.configuration, prepared.weights, device="cpu", torch_threads=1)
    with torch.inference_mode():
        winner = plain(pixels)[0].argmax(0).numpy()
    seen = np.zeros_like(winner)
    for one in model.segment([shown])[0].instances:
        seen[one.mask] = one.category_id + 1
    assert len(np.unique(winner)) > 1
    assert (seen != winner).mean() < 0.002


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (GIVEN | {"categories": ["red"]}, "has 3 channels .* has 2: 1 categories and 1 that are none"),
        (with_output(background=None), "has 3 channels .* has 2: 2 categories and 0 that are none"),
        (with_output(background=3), "The background is channel 3, but with 2 categories the last channel is 2"),
        (with_output(kind="semantic-labels"), "has fractions|map of labels"),
        (with_output(kind="semantic-probabilities"), "probabilities are from 0 to 1"),
        (with_output(name="other"), "no output 'other'; there are: map"),
        (with_output(kind="instances"), "no output 'labels'; there are: map"),
        (with_output(kind="depth"), "output: Input tag 'depth'"),
        (with_output(least_score=0.5), "output.semantic-logits.least_score: there is no such key here"),
        (with_input(name="other"), "input.name: 'other' should be the network's only input, but it has: pixels"),
        (with_input(dtype="uint8"), "input.dtype: the network takes float32, but uint8 is configured"),
        (with_input(layout="NHWC"), "input.layout: NHWC is configured"),
        (with_input(longest=None), 'say "width" and "height", or "longest" alone'),
        (GIVEN | {"precision": "float16"}, "precision: there is no such key here. Known: algorithm, input"),
        ({}, "input: Field required"),
    ],
)
def test_a_configuration_that_does_not_fit_is_refused_and_told_why(
    colours: Path, given: dict[str, Any], said: str
) -> None:
    with pytest.raises(UserError, match=said):
        kind.prepare(given, colours, colours.parent)


def test_a_network_that_cannot_be_run_at_the_configured_size_is_refused(tmp_path: Path) -> None:
    path = written(
        tmp_path / "fixed.onnx",
        [helper.make_node("Conv", ["pixels", "weight", "bias"], ["map"])],
        MAP,
        CONSTANTS,
        shape=(1, 3, 32, 32),
    )
    with pytest.raises(UserError, match=r"on 1 blank picture\(s\), scaled to 64 × 48 pixels"):
        kind.prepare(GIVEN, path, tmp_path)
    fixed = {"longest": None, "width": 32, "height": 32}
    with pytest.raises(UserError, match=r"on 2 blank picture\(s\)"):
        kind.prepare(with_input(**fixed, batch=True), path, tmp_path)
    assert kind.prepare(with_input(**fixed), path, tmp_path).categories == ("red", "green")


@pytest.mark.parametrize("content", [b"", b"garbage", b"\x08\x09"])
def test_a_file_that_is_no_onnx_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "other.onnx").write_bytes(content)
    with pytest.raises(UserError, match=r"other\.onnx is no ONNX file that onnxruntime can run"):
        kind.prepare(GIVEN, tmp_path / "other.onnx", tmp_path)


def test_without_a_file_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="kind onnx needs a file"):
        kind.prepare(GIVEN, None, tmp_path)
    with pytest.raises(UserError, match="There is no file"):
        kind.prepare(GIVEN, tmp_path / "missing.onnx", tmp_path)


@pytest.mark.parametrize("absolute", [False, True])
def test_a_network_whose_weights_lie_in_other_files_is_refused_and_they_are_not_read(
    colours: Path, monkeypatch: pytest.MonkeyPatch, absolute: bool
) -> None:
    model = onnx.load(colours)
    name = "beside.bin"
    onnx.save(model, colours, save_as_external_data=True, location=name, size_threshold=0)
    if absolute:
        model = onnx.load(colours, load_external_data=False)
        for tensor in model.graph.initializer:
            tensor.external_data[0].value = str(colours.parent / name)
        colours.write_bytes(model.SerializeToString())
    monkeypatch.chdir(colours.parent)  # where a name alone would be looked for
    with pytest.raises(UserError, match="Save it with its weights inside"):
        kind.prepare(GIVEN, colours, colours.parent)


@pytest.mark.parametrize(
    ("device", "said"),
    [
        ("nonsense", "none of cpu, cuda, cuda:N, mps"),
        ("mps:1", "none of cpu"),
        ("cuda:0", "no CUDAExecutionProvider.*onnxruntime-gpu"),
        ("mps", "no CoreMLExecutionProvider"),
    ],
)
def test_a_device_that_is_not_there_is_named(
    colours: Path, device: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kind.onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(UserError, match=f"'{device}' \\(WATSON_DEVICE\\).*{said}"):
        loaded(GIVEN, colours, device)


def test_it_needs_no_torch(colours: Path) -> None:
    code = f"""
import sys
from pathlib import Path
from watson.model.kinds import kind_named
kind_named("onnx").prepare({GIVEN!r}, Path({str(colours)!r}), Path("."))
loaded = {{"torch", "timm", "torchvision"}} & set(sys.modules)
assert not loaded, loaded
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
