"""The models that workers can run: those that Watson brings, and those whose cards and weights are in the object store.

Weights are fetched once a machine into a directory that workers may share, and their hash is checked before a byte of
them is interpreted.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import uuid
from pathlib import Path

import structlog
from cachetools import LRUCache

from watson.errors import ReasonCode, Refused, Retriable, UserError
from watson.model import registry
from watson.model.cards import ModelCard, card_key, weights_key
from watson.model.kinds import kind_named
from watson.model.segmenter import ModelInfo, Segmenter
from watson.model.weights import sha256_now
from watson.settings import Settings
from watson.storage.objects import ObjectStore

__all__ = ["ModelShelf"]

log = structlog.get_logger(__name__)

_REFERENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}@[0-9a-f]{12}")
_CARDS_KEPT = 256


class ModelShelf:
    """Looks models up, loads them, and takes new ones in. For one event loop."""

    def __init__(self, objects: ObjectStore, settings: Settings) -> None:
        """Take an object store that its owner opens and closes.

        Args:
            objects: where cards and weights are.
            settings: ``models_dir``, ``device``, ``torch_threads``.
        """
        self._objects = objects
        self._directory = settings.models_dir
        self._device = settings.device
        self._torch_threads = settings.torch_threads
        self._cards: LRUCache[str, ModelCard] = LRUCache(_CARDS_KEPT)

    # ------------------------------------------------------------------ looked up by workers
    async def info(self, reference: str) -> ModelInfo:
        """What a reference means, without loading the model.

        Args:
            reference: ``name`` or ``name@version`` of a model that Watson brings; ``name@version`` of one that was
                registered.

        Raises:
            Refused: ``MODEL_UNKNOWN``.
            Retriable: the object store is unavailable.
        """
        if registry.is_built_in(reference):
            return await asyncio.to_thread(registry.resolve, reference)  # reads the weights' hash the first time
        return (await self.card(reference)).info

    async def load(self, reference: str) -> Segmenter:
        """The model, ready.

        Raises:
            Refused: ``MODEL_UNKNOWN``; also where its weights are altered or cannot be used here.
            Retriable: the object store or the disk is unavailable.
        """
        if registry.is_built_in(reference):
            return await asyncio.to_thread(
                registry.load, reference, device=self._device, torch_threads=self._torch_threads
            )
        card = await self.card(reference)
        weights = await self.weights(card)
        try:
            return await asyncio.to_thread(card.load, weights, device=self._device, torch_threads=self._torch_threads)
        except UserError as exc:
            raise Refused(ReasonCode.MODEL_UNKNOWN, f"The model {reference} cannot be loaded: {exc}") from exc

    async def card(self, reference: str) -> ModelCard:
        """The card of a registered model.

        Raises:
            Refused: ``MODEL_UNKNOWN``; there is none, or it is damaged.
            Retriable: the object store is unavailable.
        """
        if reference not in self._cards:
            self._cards[reference] = await self._fetched_card(reference)
        return self._cards[reference]

    async def weights(self, card: ModelCard) -> Path:
        """A local file with the model's weights, fetched where it is not there; its hash is checked.

        Raises:
            Refused: ``MODEL_UNKNOWN``; the store has no such object, or another.
            Retriable: the object store or the disk is unavailable.
        """
        path = self._directory / card.weights_sha256
        try:
            if await asyncio.to_thread(_is_whole, path, card.weights_sha256):
                return path
            log.info("fetching weights", model=card.reference, bytes=card.weights_size)
            data = await self._fetched_weights(card)
            await asyncio.to_thread(_keep, path, data)
        except OSError as exc:
            message = f"weights cannot be kept in {self._directory} (WATSON_MODELS_DIR): {exc.strerror or exc}"
            raise Retriable(message, ReasonCode.MODEL_FAILED) from exc
        return path

    async def verify(self, card: ModelCard) -> None:
        """Make sure, without fetching the weights, that workers could.

        Raises:
            Refused: ``MODEL_UNKNOWN``; the weights are not in the store, or not whole, or no code here runs the kind.
            Retriable: the object store is unavailable.
        """
        try:
            kind_named(card.kind)
        except UserError as exc:
            raise Refused(ReasonCode.MODEL_UNKNOWN, f"The model {card.reference} cannot be run: {exc}") from exc
        stat = await self._objects.stat(weights_key(card.weights_sha256))
        if stat is None or stat.size != card.weights_size:
            raise _not_these_weights(card, "are gone" if stat is None else f"have {stat.size} bytes")

    # ------------------------------------------------------------------ taken in by people
    async def put(self, card: ModelCard, weights: Path) -> None:
        """Keep a model: weights first, so that a card never speaks of what is not there. Twice does no harm.

        Args:
            card: its name, and what decides its results.
            weights: a file with the card's sha256.

        Raises:
            UserError: the file has another hash, or another model has its name and version.
            Retriable: the object store is unavailable.
        """
        data = await asyncio.to_thread(weights.read_bytes)
        if await asyncio.to_thread(_hash, data) != card.weights_sha256:
            raise UserError(f"{weights} changed while it was read: do it again")
        await self._check_free(card)
        # also where an object of that size is there already: it may be damaged, and this is how to make it good
        await self._objects.put(weights_key(card.weights_sha256), data)
        await self._objects.put(card_key(card.reference), card.to_bytes(), "application/json")

    async def _check_free(self, card: ModelCard) -> None:
        """A version is the beginning of a hash: who looks for long enough finds two models of one. The first stays."""
        try:
            known = await self._objects.get(card_key(card.reference), ModelCard.MOST_BYTES)
        except Refused as exc:
            if exc.code is ReasonCode.OBJECT_MISSING:
                return
            raise
        try:
            other = ModelCard.from_bytes(known, card.reference) != card
        except Refused:
            return  # it is damaged, and this makes it good
        if other:
            raise UserError(f"{card.reference} is another model already, with the same version: change the name")

    # ------------------------------------------------------------------
    async def _fetched_card(self, reference: str) -> ModelCard:
        if not _REFERENCE.fullmatch(reference):
            raise _unknown(reference)
        try:
            data = await self._objects.get(card_key(reference), ModelCard.MOST_BYTES)
        except Refused as exc:
            if exc.code is ReasonCode.OBJECT_MISSING:
                raise _unknown(reference) from exc
            raise
        return ModelCard.from_bytes(data, reference)

    async def _fetched_weights(self, card: ModelCard) -> bytes:
        try:
            data = await self._objects.get(weights_key(card.weights_sha256), card.weights_size)
        except Refused as exc:
            if exc.code in (ReasonCode.OBJECT_MISSING, ReasonCode.TOO_LARGE):
                raise _not_these_weights(card, "are gone or longer") from exc
            raise
        found = await asyncio.to_thread(_hash, data)
        if found != card.weights_sha256:
            raise _not_these_weights(card, f"have sha256 {found}")
        return data


def _is_whole(path: Path, sha256: str) -> bool:
    if not path.is_file():
        return False
    if sha256_now(path) == sha256:
        return True
    log.warning("weights in the cache are damaged; fetching them again", path=str(path))
    return False


def _keep(path: Path, data: bytes) -> None:
    """All or nothing, whoever else keeps the same at the same time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f"{path.name}.{os.getpid()}-{uuid.uuid4().hex[:8]}.tmp")
    try:
        half.write_bytes(data)
        half.replace(path)
    finally:
        half.unlink(missing_ok=True)


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _unknown(reference: str) -> Refused:
    return Refused(
        ReasonCode.MODEL_UNKNOWN,
        f"There is no model {reference!r} in the object store, and Watson does not bring it. "
        "`watson models list` names those that are registered; `watson models add` registers one.",
    )


def _not_these_weights(card: ModelCard, what: str) -> Refused:
    return Refused(
        ReasonCode.MODEL_UNKNOWN,
        f"The weights of the model {card.reference} ({weights_key(card.weights_sha256)} in the object store) {what}; "
        f"wanted are {card.weights_size} bytes with sha256 {card.weights_sha256}. Register the model again: watson "
        "models add.",
    )
