"""Names of models: resolved without torch, refused where unknown."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from watson.errors import ReasonCode, Refused, UserError
from watson.events import DEFAULT_MODEL
from watson.model import registry, threshold
from watson.model.registry import ModelEntry, known_models, load, resolve
from watson.model.segmenter import ModelInfo, Segmenter


@pytest.fixture
def broken() -> Iterator[str]:
    """A model whose weights are not there."""

    def info() -> ModelInfo:
        raise UserError("broken.pth is missing. Do: pip install broken")

    registry.register("broken", ModelEntry(info, threshold.load))
    yield "broken"
    registry.unregister("broken")


def test_the_default_model_and_the_stand_in_are_known() -> None:
    assert {model.name for model in known_models()} == {DEFAULT_MODEL, "test-threshold"}


def test_a_name_resolves_to_its_version_and_that_to_itself() -> None:
    info = resolve(DEFAULT_MODEL)
    assert resolve(info.reference) == info
    assert info.reference == f"{DEFAULT_MODEL}@{info.version}"
    assert len(info.categories) == 1000


@pytest.mark.parametrize("reference", ["resnet", "", "resnet@1", "@1", "Test-Threshold"])
def test_an_unknown_model_is_refused_and_the_known_ones_named(reference: str) -> None:
    with pytest.raises(Refused, match=r"Known: efficientnet-lite0-cam\.$") as refused:
        resolve(reference)
    assert refused.value.code is ReasonCode.MODEL_UNKNOWN


@pytest.mark.parametrize("version", ["", "0", "000000000000", "1@2"])
def test_another_version_is_refused_and_the_one_that_is_here_named(version: str) -> None:
    with pytest.raises(Refused, match=resolve("test-threshold").reference) as refused:
        load(f"test-threshold@{version}", device="cpu", torch_threads=1)
    assert refused.value.code is ReasonCode.MODEL_UNKNOWN


def test_missing_weights_refuse_the_model_with_the_remedy(broken: str) -> None:
    with pytest.raises(Refused, match="pip install broken") as refused:
        resolve(broken)
    assert refused.value.code is ReasonCode.MODEL_UNKNOWN


def test_a_device_that_cannot_be_used_is_said_at_loading() -> None:
    def failing(*, device: str, torch_threads: int) -> Segmenter:
        raise UserError(f"The device {device!r} cannot be used")

    registry.register("elsewhere", ModelEntry(threshold.info, failing))
    try:
        with pytest.raises(Refused, match="device 'cuda:9'"):
            load("elsewhere", device="cuda:9", torch_threads=1)
    finally:
        registry.unregister("elsewhere")


def test_a_name_is_not_taken_twice(broken: str) -> None:
    with pytest.raises(ValueError, match="taken"):
        registry.register(broken, ModelEntry(threshold.info, threshold.load))


def test_resolving_and_the_stand_in_load_no_torch() -> None:
    code = """
import sys
from watson.model.registry import known_models, load, resolve
import watson.stages.segment, watson.stages.catalogue
known_models()
load("test-threshold", device="cpu", torch_threads=1)
loaded = {"torch", "timm", "torchvision"} & set(sys.modules)
assert not loaded, loaded
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
