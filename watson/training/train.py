"""Makes a model for a labelled dataset: a small head on the features of a frozen network. Needs torch.

Everything follows from pictures, labels, options and seed: the same on the same machine gives the same weights to the
last bit, also when the training was interrupted and resumed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import cv2
import safetensors.torch
import torch
from torch import nn

from watson.errors import UserError
from watson.model.backbones import Base, base_named
from watson.model.fpn import FpnNetwork
from watson.model.kinds import fpn
from watson.model.weights import sha256_of
from watson.training.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from watson.training.evaluation import Evaluation, evaluate
from watson.training.features import FeatureCache, Features
from watson.training.labelled import LabelledDataset
from watson.training.loop import HeadTraining
from watson.training.options import TrainingOptions
from watson.training.outcome import KIND, card_of, check_registrable, configuration_of
from watson.training.place import TrainingPlace

__all__ = ["OnProgress", "Trained", "train"]


class OnProgress(Protocol):
    """Told how far a training is."""

    def __call__(self, stage: str, done: int, total: int, note: str = "") -> None:
        """``stage`` is features, epochs or evaluation; ``note`` says how good the model is by now."""
        ...


@dataclass(frozen=True, slots=True)
class Trained:
    """A model that was made.

    Attributes:
        model: its description, ``model.json``: what a registry takes.
        evaluation: on the held-out pictures.
        epochs: that were trained.
        best_epoch: the one whose weights the model has, from 1.
    """

    model: Path
    evaluation: Evaluation
    epochs: int
    best_epoch: int

    def to_json(self) -> dict[str, Any]:
        """For machines."""
        return {
            "model": str(self.model),
            "epochs": self.epochs,
            "best_epoch": self.best_epoch,
            "evaluation": self.evaluation.to_json(),
        }


def train(
    training: LabelledDataset,
    held_out: LabelledDataset,
    place: TrainingPlace,
    options: TrainingOptions,
    *,
    name: str,
    backbone: nn.Module,
    resume: bool = False,
    on_progress: OnProgress | None = None,
    dataset: str = "",
) -> Trained:
    """Train a model and write it to a folder. Takes minutes; interrupted at any time, it can go on with ``resume``.

    Sets torch's and OpenCV's numbers of threads for the whole process.

    Args:
        training: pictures to learn from.
        held_out: pictures to measure with, never learned from; the same categories.
        place: the folder.
        options: all that decides the result besides pictures and labels.
        name: of the model.
        backbone: the frozen network with its weights, as `watson.model.backbones.pretrained` returns it.
        resume: go on with what was begun in the folder, if anything was.
        on_progress: told how far it is.
        dataset: the snapshot that all the pictures are; empty for a hash of pictures and labels.

    Raises:
        UserError: the folder holds something else, a file of the dataset is not there or is wrong, the base is
            unknown, the model could not be registered, or no pixel of the pictures says what it shows.
    """
    progress = on_progress or (lambda _stage, _done, _total, _note="": None)
    place.check(resume=resume)
    if training.categories != held_out.categories:
        raise UserError(f"{training.place} and {held_out.place} have not the same categories in the same order")
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(options.threads)
    base = base_named(options.base)
    configuration = configuration_of(
        base.name, training.categories, side=options.side, width=options.width, place=training.place
    )
    described = _described(base, configuration, dataset)
    check_registrable(name, configuration, training.place, described)
    fingerprint = _fingerprint(training, held_out, options, backbone)
    place.begin(fingerprint)
    cache = FeatureCache(place.unfinished, _digest(fingerprint), options.cache_bytes)
    with cache:
        features = Features(backbone, base, training, held_out, options, cache)
        features.compute(lambda done, total: progress("features", done, total))
        head = HeadTraining(base.channels, len(training.categories), features, options)
        checkpoint = _trained(head, place, options, progress)
    if all(epoch.loss is None for epoch in checkpoint.epochs):
        raise UserError(f"nothing can be learned from {training.place}: every pixel is of a crowd or void")
    _write_weights(place.weights, base, configuration, backbone, checkpoint)
    evaluation = _evaluated(name, configuration, place, held_out, options, progress)
    place.finish(
        _model(name, configuration, place, evaluation, described | {"dataset": dataset or _both(fingerprint)}),
        {**fingerprint, "epochs": [asdict(epoch) for epoch in checkpoint.epochs], "best_epoch": checkpoint.best_epoch}
        | {"held_out_pictures": [sample.name for sample in held_out.samples]},
    )
    return Trained(place.model, evaluation, len(checkpoint.epochs), checkpoint.best_epoch)


def _trained(head: HeadTraining, place: TrainingPlace, options: TrainingOptions, progress: OnProgress) -> Checkpoint:
    if place.checkpoint.exists():
        head.restore(read_checkpoint(place.checkpoint))
    while not head.over:
        done = len(head.state.epochs)
        progress("epochs", done, options.epochs, _note(head.state))
        head.epoch()
        write_checkpoint(place.checkpoint, head.state)
    progress("epochs", options.epochs, options.epochs, _note(head.state))
    return head.state


def _note(checkpoint: Checkpoint) -> str:
    if not checkpoint.epochs:
        return ""
    last, best = checkpoint.epochs[-1], checkpoint.epochs[checkpoint.best_epoch - 1]
    loss = "-" if last.loss is None else f"{last.loss:.3f}"
    return f"loss {loss}, mIoU {last.mean_iou:.3f}, best {best.mean_iou:.3f} in {checkpoint.best_epoch}"


def _fingerprint(
    training: LabelledDataset, held_out: LabelledDataset, options: TrainingOptions, backbone: nn.Module
) -> dict[str, Any]:
    whole = hashlib.sha256()
    for name, tensor in sorted(backbone.state_dict().items()):
        whole.update(name.encode() + tensor.numpy().tobytes())
    return {
        **options.fingerprint(),
        "network": whole.hexdigest(),
        "training pictures": training.digest(),
        "held-out pictures": held_out.digest(),
    }


def _digest(document: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def _write_weights(
    path: Path, base: Base, configuration: fpn.Configuration, backbone: nn.Module, checkpoint: Checkpoint
) -> None:
    network = FpnNetwork(base, 1 + len(configuration.categories), configuration.width)
    network.backbone.load_state_dict(backbone.state_dict())
    network.head.load_state_dict(checkpoint.best)
    unfinished = path.with_suffix(".part")
    tensors = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    safetensors.torch.save_file(tensors, unfinished)
    unfinished.replace(path)


def _evaluated(
    name: str,
    configuration: fpn.Configuration,
    place: TrainingPlace,
    held_out: LabelledDataset,
    options: TrainingOptions,
    progress: OnProgress,
) -> Evaluation:
    """As a job will see the model: through the kind, at the pictures' own size."""
    card = card_of(name, configuration, sha256_of(place.weights), place.weights.stat().st_size)
    segmenter = fpn.load(card.info, card.configuration, place.weights, device="cpu", torch_threads=options.threads)
    return evaluate(segmenter, held_out, lambda done, total: progress("evaluation", done, total))


def _described(base: Base, configuration: fpn.Configuration, dataset: str) -> dict[str, str]:
    return {
        "licence": base.licence,
        "description": f"{base.name} with a head for {len(configuration.categories)} categories, by watson train",
        "base": base.name,
        "dataset": dataset,
    }


def _model(
    name: str,
    configuration: fpn.Configuration,
    place: TrainingPlace,
    evaluation: Evaluation,
    described: Mapping[str, str],
) -> dict[str, Any]:
    return {
        "name": name,
        "kind": KIND,
        "weights": place.weights.name,
        "sha256": sha256_of(place.weights),
        **described,
        "configuration": configuration.model_dump(mode="json"),
        "metrics": evaluation.metrics(),
    }


def _both(fingerprint: Mapping[str, Any]) -> str:
    """One hash of all pictures and labels."""
    pictures = (fingerprint["training pictures"], fingerprint["held-out pictures"])
    return hashlib.sha256("\n".join(pictures).encode()).hexdigest()
