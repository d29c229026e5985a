"""Opens a model for evaluation: one that has a name here, or one that lies in a folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, JsonValue, ValidationError

from watson.errors import UserError
from watson.model.kinds import kind_named
from watson.model.segmenter import ModelInfo, Segmenter
from watson.model.weights import model_version, verified

__all__ = ["open_model_file"]


class _ModelFile(BaseModel):
    """What of ``model.json`` is needed to run it."""

    name: str
    kind: str
    weights: str
    sha256: str
    configuration: dict[str, JsonValue]


def open_model_file(path: Path, *, device: str, torch_threads: int) -> Segmenter:
    """Return the model that `watson train` wrote.

    Args:
        path: ``model.json``, or the folder that holds it.
        device: ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        torch_threads: to compute with.

    Raises:
        UserError: the file is not there or not such a file, or the weights are missing, damaged or not the network's.
    """
    file = path / "model.json" if path.is_dir() else path
    try:
        document: Any = json.loads(file.read_bytes())
        model = _ModelFile.model_validate(document)
    except OSError as exc:
        raise UserError(f"{file} cannot be read: {exc.strerror}") from exc
    except ValidationError as exc:
        first = exc.errors(include_url=False, include_input=False)[0]
        raise UserError(f"{file} describes no model: {'.'.join(map(str, first['loc']))}: {first['msg']}") from exc
    except ValueError as exc:
        raise UserError(f"{file} is not JSON: {exc}") from exc
    weights = file.parent / model.weights
    if not weights.is_file():
        raise UserError(f"{file}: its weights {weights} are not there")
    verified(weights, model.sha256, remedy="Train the model again, or fetch both files anew.")
    kind = kind_named(model.kind)
    configuration = model.configuration
    categories = configuration.get("categories")
    if not isinstance(categories, list):
        raise UserError(f"{file}: configuration.categories is no list of names")
    info = ModelInfo(
        model.name,
        model_version(model.sha256, configuration),
        model.kind,
        model.sha256,
        tuple(map(str, categories)),
    )
    return kind.load(info, configuration, weights, device=device, torch_threads=torch_threads)
