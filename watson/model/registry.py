"""The table of models that Watson brings: a name and what loads it.

Names are resolved without torch; loading imports what it needs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from watson.errors import ReasonCode, Refused, UserError
from watson.model import efficientnet_cam, threshold
from watson.model.segmenter import ModelInfo, Segmenter

__all__ = [
    "Loader",
    "ModelEntry",
    "check_free",
    "is_built_in",
    "is_public",
    "known_models",
    "load",
    "public_names",
    "register",
    "resolve",
    "unregister",
]


class Loader(Protocol):
    """Makes a model ready. Takes seconds and memory; imports torch itself where it needs it."""

    def __call__(self, *, device: str, torch_threads: int) -> Segmenter:
        """Load on ``device``, to compute with so many threads."""
        ...


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """A model that can be named.

    Attributes:
        info: what identifies it; cheap, imports no torch.
        load: makes it ready.
    """

    info: Callable[[], ModelInfo]
    load: Loader


_ENTRIES: dict[str, ModelEntry] = {
    efficientnet_cam.NAME: ModelEntry(efficientnet_cam.info, efficientnet_cam.load),
    threshold.NAME: ModelEntry(threshold.info, threshold.load),
}


_FOR_TESTS = "test-"
"""Models of such names can be used, but nobody is told of them."""


def register(name: str, entry: ModelEntry) -> None:
    """Make a model known under a name in this process.

    Raises:
        ValueError: the name is taken.
    """
    if name in _ENTRIES:
        raise ValueError(f"the model name {name!r} is taken")
    _ENTRIES[name] = entry


def unregister(name: str) -> None:
    """Forget a model."""
    del _ENTRIES[name]


def known_models() -> list[ModelInfo]:
    """Return all models that can be named, by name.

    Raises:
        UserError: the weights of one are missing or damaged.
    """
    return [_ENTRIES[name].info() for name in sorted(_ENTRIES)]


def is_built_in(reference: str) -> bool:
    """Whether a ``name`` or ``name@version`` is of a model in this table."""
    return reference.partition("@")[0] in _ENTRIES


def is_public(name: str) -> bool:
    """Whether people are told of a model; stand-ins for tests can be named all the same."""
    return not name.startswith(_FOR_TESTS)


def public_names() -> list[str]:
    """The names of the models that people are told of, in order."""
    return sorted(filter(is_public, _ENTRIES))


def check_free(name: str) -> None:
    """See that a model of somebody's own may have a name.

    Raises:
        UserError: it is that of a model in this table.
    """
    if is_built_in(name):
        raise UserError(f"the name {name} is that of a model which Watson brings: choose another")


def resolve(reference: str) -> ModelInfo:
    """Return what a reference means, without loading the model.

    Args:
        reference: ``name``, or ``name@version`` for that version alone.

    Raises:
        Refused: ``MODEL_UNKNOWN``; no such name or version here, or its weights are not usable: says which are known.
    """
    return _find(reference)[1]


def load(reference: str, *, device: str, torch_threads: int) -> Segmenter:
    """Return the model, ready. Takes seconds: call it in a thread.

    Raises:
        Refused: ``MODEL_UNKNOWN``, as `resolve` does; also where the device cannot be used.
    """
    entry, _ = _find(reference)
    try:
        return entry.load(device=device, torch_threads=torch_threads)
    except UserError as exc:
        raise Refused(ReasonCode.MODEL_UNKNOWN, f"The model {reference} cannot be loaded: {exc}") from exc


def _find(reference: str) -> tuple[ModelEntry, ModelInfo]:
    name, _, version = reference.partition("@")
    entry = _ENTRIES.get(name)
    if entry is None:
        known = ", ".join(public_names())
        raise Refused(ReasonCode.MODEL_UNKNOWN, f"There is no model {reference!r}. Known: {known}.")
    try:
        info = entry.info()
    except UserError as exc:
        raise Refused(ReasonCode.MODEL_UNKNOWN, f"The model {reference} cannot be used: {exc}") from exc
    if "@" in reference and version != info.version:
        raise Refused(
            ReasonCode.MODEL_UNKNOWN,
            f"The model {name} is here in version {info.version} alone, not {version!r}. Name {info.reference}, or run "
            "workers whose weights and code make the version that you want.",
        )
    return entry, info
