"""Weight files: where they are, that they are the right ones, and what version of a model they make."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from watson.errors import UserError

__all__ = ["model_version", "package_file", "sha256_now", "sha256_of", "verified"]

_VERSION_DIGITS = 12


def package_file(package: str, relative: str, *, distribution: str) -> Path:
    """Return the path of a file that a Python package ships, without importing the package.

    Args:
        package: name as imported.
        relative: path inside the package.
        distribution: name as installed by pip; for the message.

    Raises:
        UserError: the package or the file is not there; says what to install.
    """
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise UserError(f"The Python package {package} is not installed. Do: pip install {distribution}")
    path = Path(spec.origin).parent / relative
    if not path.is_file():
        raise UserError(f"{path} is missing. Do: pip install --force-reinstall {distribution}")
    return path


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file's bytes, hexadecimal; computed once for each state of the file in a process."""
    stat = path.stat()
    return _hash(path, stat.st_size, stat.st_mtime_ns)


def sha256_now(path: Path) -> str:
    """Return the sha256 of a file's bytes, hexadecimal, read anew: what a disk forgets has no later time of change."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@lru_cache(maxsize=64)
def _hash(path: Path, _size: int, _mtime_ns: int) -> str:
    return sha256_now(path)


def verified(path: Path, sha256: str, *, remedy: str) -> Path:
    """Return ``path`` when its bytes have this sha256.

    Raises:
        UserError: they have not; ends with ``remedy``.
    """
    found = sha256_of(path)
    if found != sha256:
        raise UserError(
            f"The weights in {path} have sha256 {found}, not {sha256}: damaged or another release. {remedy}"
        )
    return path


def model_version(weights_sha256: str, configuration: Mapping[str, object]) -> str:
    """Return the version of a model: 12 hexadecimal digits that follow from its weights and its configuration."""
    canonical = json.dumps(configuration, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(f"{weights_sha256}\n{canonical}".encode()).hexdigest()[:_VERSION_DIGITS]
