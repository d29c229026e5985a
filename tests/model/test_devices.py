"""Where torch computes, and with what."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest
import torch

from watson.errors import UserError
from watson.model import devices

pytestmark = pytest.mark.torch

CPU, CUDA = torch.device("cpu"), torch.device("cuda", 1)


def test_the_cpu_is_always_there() -> None:
    assert devices.usable("cpu") == CPU


@pytest.mark.parametrize("name", ["cuda:77", "nonsense", "meta", "", "cpu:-2"])
def test_a_device_that_is_not_there_is_named(name: str) -> None:
    with pytest.raises(UserError, match=f"'{name}' \\(WATSON_DEVICE\\)"):
        devices.usable(name)


def test_what_is_sent_to_the_cpu_arrives() -> None:
    assert torch.equal(devices.sent(torch.arange(3), CPU), torch.arange(3))


@pytest.mark.parametrize(
    ("device", "wanted", "asked"), [(CPU, True, False), (CPU, False, False), (CUDA, False, False), (CUDA, True, True)]
)
def test_networks_are_compiled_on_cuda_alone(
    device: torch.device, wanted: bool, asked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "compile", lambda network: f"compiled {network}")
    result = devices.compiled("network", device, wanted=wanted)
    assert result == ("compiled network" if asked else "network")


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_fewer_bits_are_for_cuda_alone(precision: devices.Precision, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Any, ...]] = []

    def autocast(kind: str, *, dtype: torch.dtype) -> nullcontext[None]:
        asked.append((kind, dtype))
        return nullcontext()

    monkeypatch.setattr(torch, "autocast", autocast)
    devices.autocast(CPU, precision)
    assert asked == []
    devices.autocast(CUDA, precision)
    assert asked == ([] if precision == "float32" else [("cuda", getattr(torch, precision))])
