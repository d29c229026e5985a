"""A network's tensors by name: read from files that may hold nothing else, fitted, and kept as safetensors."""

from __future__ import annotations

import argparse
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from watson.errors import UserError

__all__ = ["fitted", "keep", "kept", "read"]

Tensors = dict[str, torch.Tensor]

_WRAPPERS = ("model", "state_dict")
_PARALLEL = "module."
_TRAINING_ALONE = "num_batches_tracked"
_NAMED = 3
_JSON_STARTS_AT = 8
"""Source: the format of safetensors: 8 bytes of length, then a JSON object."""


def read(path: Path) -> Tensors:
    """Return the tensors in a ``.safetensors`` or ``.pth`` file, on the CPU. What kind it is is read from its bytes.

    Of a checkpoint ``{"model": …}`` or ``{"state_dict": …}`` the tensors therein are returned; ``module.`` before every
    name, which `DataParallel` puts there, is dropped.

    Raises:
        UserError: the file cannot be read, holds something else, or is a pickle of more than tensors: its code does not
            run.
    """
    try:
        with path.open("rb") as file:
            start = file.read(_JSON_STARTS_AT + 1)
        content = load_file(path) if start[_JSON_STARTS_AT:] == b"{" else _unpickled(path)
    except SafetensorError as exc:
        raise UserError(f"{path} is no safetensors file that can be read: {exc}") from exc
    except OSError as exc:
        raise UserError(f"{path} cannot be read: {exc.strerror or exc}") from exc
    return _unwrapped(content, path)


def fitted(given: Mapping[str, torch.Tensor], network: torch.nn.Module, *, dropped: Sequence[str] = ()) -> Tensors:
    """Return the tensors that the network has, by name, in its own types of number.

    Args:
        given: as `read` returned them.
        network: whose names and shapes count.
        dropped: prefixes of names that the network does without, such as heads for training alone.

    Counters that matter in training alone (``num_batches_tracked``) may be absent or too many; they become 0.

    Raises:
        UserError: others are, or have another shape: names a few.
    """
    own = network.state_dict()
    wanted = {name for name in own if not name.endswith(_TRAINING_ALONE)}
    useful = {
        name for name in given if not name.startswith(tuple(dropped)) and (name in own or _TRAINING_ALONE not in name)
    }
    wrong = [
        *_some("it lacks", sorted(wanted - useful)),
        *_some("the network has no", sorted(useful - own.keys())),
        *_some(
            "another shape has",
            [
                f"{name} ({_shape(given[name])} instead of {_shape(own[name])})"
                for name in sorted(useful & own.keys())
                if given[name].shape != own[name].shape
            ],
        ),
    ]
    if wrong:
        raise UserError(f"The weights are not this network's: {'; '.join(wrong)}.")
    check_finite({name: given[name] for name in useful})
    return {
        name: given[name].to(own[name].dtype) if name in wanted else torch.zeros_like(own[name]) for name in sorted(own)
    }


def check_finite(tensors: Mapping[str, torch.Tensor]) -> None:
    """Refuse weights with which a network sees nothing, ever, and says nothing of it.

    Raises:
        UserError: some are NaN or infinite: names the first of them.
    """
    for name, tensor in sorted(tensors.items()):
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise UserError(f"The weights hold NaN or infinite numbers ({name}): the training that made them diverged.")


def keep(tensors: Mapping[str, torch.Tensor], path: Path) -> Path:
    """Write a safetensors file; the same tensors make the same bytes, in whatever order and layout they come."""
    save_file({name: tensors[name].detach().clone().contiguous() for name in sorted(tensors)}, path)
    return path


def kept(path: Path) -> Tensors:
    """Read what `keep` wrote, under whatever name it lies.

    Raises:
        UserError: it is something else.
    """
    try:
        return load_file(path)
    except (SafetensorError, OSError) as exc:
        raise UserError(f"{path} does not hold the tensors of a registered model: {exc}") from exc


def _unpickled(path: Path) -> object:
    # torchvision's own training scripts put their command line, a Namespace, beside the tensors.
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as exc:
        raise UserError(
            f"{path} is a pickle that holds more than tensors, or is damaged; code in it could do anything, so it was "
            "not run. Save the tensors alone: torch.save(network.state_dict(), path), or as safetensors."
        ) from exc
    except Exception as exc:  # a damaged file makes torch raise nearly anything
        reason = str(exc).partition("\n")[0] or type(exc).__name__
        raise UserError(f"{path} is neither a safetensors file nor one that torch.save made: {reason}") from exc


def _unwrapped(content: object, path: Path) -> Tensors:
    for wrapper in _WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    if not isinstance(content, Mapping) or not content:
        raise UserError(f"{path} holds {_described(content)}, not a network's tensors by name.")
    others = [name for name, value in content.items() if not isinstance(value, torch.Tensor)]
    if others:
        raise UserError(
            f"{path} holds more than tensors: {', '.join(map(str, others[:_NAMED]))}. Give a state dict, alone or "
            f"under {' or '.join(map(repr, _WRAPPERS))}."
        )
    for name, tensor in content.items():
        _check_whole(str(name), tensor, path)
    parallel = all(str(name).startswith(_PARALLEL) for name in content)
    return {str(name)[len(_PARALLEL) if parallel else 0 :]: tensor for name, tensor in content.items()}


def _check_whole(name: str, tensor: torch.Tensor, path: Path) -> None:
    """Refuse what is no plain array of numbers with a number of its own in each place.

    A few bytes can claim any size by a stride of 0, and what is sparse, quantised or without data is of no use here.
    """
    plain = tensor.layout is torch.strided and tensor.device.type == "cpu" and not tensor.is_quantized
    if not plain or tensor.is_complex():
        raise UserError(f"{path}: the tensor {name} is no plain array of numbers: save it dense, real and on the CPU.")
    if tensor.untyped_storage().nbytes() < tensor.numel() * tensor.element_size():
        raise UserError(f"{path}: the tensor {name} claims {_shape(tensor)} numbers and has fewer: save a copy of it.")


def _described(content: object) -> str:
    return "nothing" if isinstance(content, Mapping) else f"an object of type {type(content).__name__}"


def _some(what: str, names: Sequence[str]) -> list[str]:
    if not names:
        return []
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return [f"{what} {', '.join(names[:_NAMED])}{more}"]


def _shape(tensor: torch.Tensor) -> str:
    return "×".join(map(str, tensor.shape)) or "a single number"
