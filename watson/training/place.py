"""The folder of a training: what is begun in it, and the model in the end."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from watson.errors import UserError

__all__ = ["TrainingPlace"]

_UNFINISHED = ".training"
_ANNOTATIONS = "annotations"  # lies in the folder of a dataset, as COCO and Watson's exports have it


class TrainingPlace:
    """A folder that gets ``weights.safetensors``, ``training.json`` and, last, ``model.json``.

    Until then ``.training/`` in it holds the features and the checkpoint.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.model = folder / "model.json"
        self.weights = folder / "weights.safetensors"
        self.history = folder / "training.json"
        self.unfinished = folder / _UNFINISHED
        self.checkpoint = self.unfinished / "checkpoint.pt"
        self._begun = self.unfinished / "begun.json"

    def check(self, *, resume: bool) -> None:
        """See that training may begin or go on here; quick, before anything is read.

        Raises:
            UserError: there is a model already, or an unfinished training that is not to be resumed.
        """
        if self.model.exists():
            raise UserError(f"{self.folder} already holds a trained model: name another folder with --out")
        if self._begun.exists() and not resume:
            raise UserError(
                f"a training was interrupted in {self.folder}: go on with --resume, or delete {self.unfinished}"
            )

    def check_apart(self, dataset: Path) -> None:
        """See that the model is not written into a dataset, which would be another one then.

        Args:
            dataset: a file or folder of labelled pictures. Of a file its folder is meant, but not what lies within.

        Raises:
            UserError: it would be.
        """
        wanted = self.folder.resolve()
        if dataset.is_dir():
            clashing = [dataset] if wanted.is_relative_to(dataset.resolve()) else []
        elif dataset.is_file():
            above = [dataset.parent, *([dataset.parent.parent] if dataset.parent.name == _ANNOTATIONS else [])]
            clashing = [folder for folder in above if wanted == folder.resolve()]
        else:
            return  # whoever reads it says so
        if clashing:
            raise UserError(
                f"the model would be written to {self.folder}, into the dataset {clashing[0]}: name another folder "
                "with --out"
            )

    def check_same(self, name: str, options: Mapping[str, Any]) -> None:
        """See that the finished model that is here is the one that is asked for.

        Args:
            name: of the model.
            options: all that decides a training but its pictures.

        Raises:
            UserError: it has another name, or was trained with other options; or its files are damaged.
        """
        try:
            model, history = (json.loads(file.read_bytes()) for file in (self.model, self.history))
            before = {**history, "name": model["name"]}
        except (OSError, ValueError, KeyError, TypeError) as exc:
            raise UserError(f"{self.folder} does not hold a finished training that can be read: {exc}") from exc
        wanted = {**options, "name": name}
        if differing := sorted(key for key, value in wanted.items() if before.get(key) != value):
            was = ", ".join(f"{key} {before.get(key)}" for key in differing)
            raise UserError(f"{self.folder} holds another model, of {was}: give the same again, or another --out")

    def begin(self, fingerprint: Mapping[str, Any]) -> None:
        """Make the folder, or see that what was begun in it is the same training.

        Args:
            fingerprint: all that decides the result; JSON values.

        Raises:
            UserError: it was begun with other options or other pictures: says what differs.
        """
        self.unfinished.mkdir(parents=True, exist_ok=True)
        if not self._begun.exists():
            write(self._begun, fingerprint)
            return
        try:
            before = json.loads(self._begun.read_bytes())
        except ValueError as exc:
            raise UserError(f"{self._begun} is damaged: delete {self.unfinished} and train anew") from exc
        wanted = json.loads(json.dumps(fingerprint))
        differing = sorted(key for key in before.keys() | wanted.keys() if before.get(key) != wanted.get(key))
        if differing:
            raise UserError(
                f"the training in {self.folder} was begun with other values of: {', '.join(differing)}. Give the same "
                f"again, or delete {self.unfinished} and train anew."
            )

    def finish(self, model: Mapping[str, Any], history: Mapping[str, Any]) -> None:
        """Write the model's description, and delete what only the training needed. The weights are there already."""
        write(self.history, history)
        write(self.model, model)
        shutil.rmtree(self.unfinished)


def write(path: Path, document: Mapping[str, Any]) -> None:
    """Write JSON in one step.

    Raises:
        ValueError: a number is none or infinite, which JSON cannot say.
    """
    unfinished = path.with_name(f".{path.name}.part")
    with unfinished.open("w", encoding="utf-8") as file:
        json.dump(document, file, indent=2, ensure_ascii=False, allow_nan=False)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
