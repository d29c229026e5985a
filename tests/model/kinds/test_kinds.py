"""The table of kinds: known by name, imported when used."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec

import pytest

from watson.errors import UserError
from watson.model.kinds import KINDS, kind_named


def test_an_unknown_kind_is_refused_and_the_known_ones_named() -> None:
    with pytest.raises(UserError, match=r"no kind of model 'keras'\. Known: .*onnx.*torchvision"):
        kind_named("keras")


@pytest.mark.parametrize("name", sorted(KINDS))
def test_every_kind_of_the_table_has_its_module(name: str) -> None:
    assert find_spec(KINDS[name]) is not None


def test_the_table_and_the_registry_load_no_framework() -> None:
    code = """
import sys
import watson.model.kinds, watson.model.registry
loaded = {"torch", "timm", "torchvision", "onnxruntime"} & set(sys.modules)
assert not loaded, loaded
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
