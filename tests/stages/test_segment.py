"""The segment stage on a real store, with the stand-in model; with the default model where that is the point."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import io
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from watson.errors import ReasonCode, Refused, Retriable
from watson.events import DEFAULT_MODEL, ImagePreprocessed, JobOptions, Normalised, Original, image_key, segmentation_id
from watson.model import registry, threshold
from watson.model.masks import decode_masks
from watson.model.registry import ModelEntry, resolve
from watson.model.segmenter import ModelInfo, Picture, Segmentation
from watson.settings import Settings
from watson.stages.segment import SegmentStage, masks_key
from watson.storage.directory import DirectoryObjectStore

INFO = resolve("test-threshold")


class Watched(threshold.Threshold):
    """The stand-in under another name: records its batches, fails for black pictures."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[int] = []

    @property
    def info(self) -> ModelInfo:
        return ModelInfo("watched", "1", "watched", "d" * 64, ("dark", "middling", "bright"))

    def segment(self, pictures: Sequence[Picture]) -> list[Segmentation]:
        self.batches.append(len(pictures))
        if any(not picture.any() for picture in pictures):
            raise ValueError("black picture")
        return super().segment(pictures)


@pytest.fixture
def watched() -> Any:
    model = Watched()
    registry.register("watched", ModelEntry(lambda: model.info, lambda **_: model))
    yield model
    registry.unregister("watched")


@pytest.fixture
def store(tmp_path: Path) -> DirectoryObjectStore:
    return DirectoryObjectStore(tmp_path)


@pytest.fixture
async def stage(store: DirectoryObjectStore) -> AsyncIterator[SegmentStage]:
    made = SegmentStage(store, Settings(batch_size=4, batch_wait=0.05))
    await made.open()
    yield made
    await made.close()


def picture(seed: int, size: tuple[int, int] = (30, 40)) -> Picture:
    """A dark and a bright part, and noise."""
    pixels = np.full((*size, 3), 40, np.int64)
    pixels[:, : 5 + seed % 20] = 220
    return (pixels + np.random.default_rng(seed).integers(-20, 20, pixels.shape)).astype(np.uint8)


async def preprocessed(
    store: DirectoryObjectStore,
    pixels: Picture,
    uri: str = "file:///cat.jpg",
    model: str = "test-threshold",
    **changes: Any,
) -> ImagePreprocessed:
    """Put the picture in the store, as preprocess does; ``changes`` falsify what the event says of it."""
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    original = hashlib.sha256(uri.encode()).hexdigest()
    key = f"preprocessed/1-1024/{original}.png"
    await store.put(key, out.getvalue())
    says: dict[str, Any] = {
        "object": key,
        "sha256": hashlib.sha256(out.getvalue()).hexdigest(),
        "width": pixels.shape[1],
        "height": pixels.shape[0],
        "version": "1-1024",
    }
    return ImagePreprocessed(
        job="job",
        image_key=image_key(uri),
        dataset="cats",
        original=Original(uri=uri, sha256=original, width=80, height=60, format="PNG"),
        normalised=Normalised(**(says | changes)),
        model=model,
        options=JobOptions(weight=2),
    )


async def test_masks_are_put_under_their_identity_and_the_event_tells_what_they_are(
    stage: SegmentStage, store: DirectoryObjectStore
) -> None:
    pixels = picture(3)
    event = await preprocessed(store, pixels)
    said = await stage.handle(event)
    identity = segmentation_id(event.image_key, str(event.original.sha256), "1-1024", INFO.reference)
    data = await store.get(said.masks_object)
    file = decode_masks(data)
    assert said.segmentation_id == file.segmentation_id == identity
    assert said.masks_object == f"masks/{identity}.json.gz"
    assert said.masks_sha256 == hashlib.sha256(data).hexdigest()
    assert said.masks == file.summaries
    assert (said.model, said.weights_sha256) == (INFO.reference, INFO.weights_sha256)
    assert (said.job, said.dataset, said.original, said.normalised, said.options) == (
        event.job,
        event.dataset,
        event.original,
        event.normalised,
        event.options,
    )
    expected = threshold.load().segment([pixels])[0].instances
    assert len(expected) == 2
    for stored, instance in zip(file.masks, expected, strict=True):
        assert np.array_equal(stored.pixels(), instance.mask)
        assert (stored.category, stored.area) == (instance.category, instance.mask.sum())


async def test_the_same_event_gives_the_same_bytes_in_two_stores(tmp_path: Path) -> None:
    written = []
    for name in ("one", "two"):
        store = DirectoryObjectStore(tmp_path / name)
        stage = SegmentStage(store, Settings())
        await stage.open()
        event = await preprocessed(store, picture(4))
        said = await stage.handle(event)
        await stage.close()
        written.append((said.id, said.masks_sha256, await store.get(said.masks_object)))
    assert written[0] == written[1]


async def test_events_at_once_share_batches(stage: SegmentStage, store: DirectoryObjectStore, watched: Watched) -> None:
    events = [await preprocessed(store, picture(n), f"file:///{n}.jpg", "watched") for n in range(8)]
    said = await asyncio.gather(*map(stage.handle, events))
    assert [one.image_key for one in said] == [event.image_key for event in events]
    assert len({one.masks_sha256 for one in said}) == 8
    assert sum(watched.batches) == 8
    assert len(watched.batches) <= 4


async def test_masks_that_are_there_are_used_and_the_model_is_not_asked(
    stage: SegmentStage, store: DirectoryObjectStore, watched: Watched
) -> None:
    event = await preprocessed(store, picture(5), model="watched")
    first = await stage.handle(event)
    await store.delete(event.normalised.object)  # nor is the picture
    again = await stage.handle(event)
    other = await stage.handle(event.model_copy(update={"job": "other", "model": "watched@1"}))
    assert watched.batches == [1]
    assert again.model_dump(exclude={"time"}) == first.model_dump(exclude={"time"})
    assert (other.segmentation_id, other.masks) == (first.segmentation_id, first.masks)
    assert other.id != first.id


def rewritten(data: bytes, **changes: Any) -> bytes:
    return gzip.compress(json.dumps(json.loads(gzip.decompress(data)) | changes).encode())


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-20],
        lambda _data: b"",
        lambda data: rewritten(data, picture_sha256="e" * 64),
        lambda data: rewritten(data, model="watched@2"),
        lambda data: rewritten(data, weights_sha256="e" * 64),
        lambda data: rewritten(data, segmentation_id="0b7c0b6e-3a4c-5d0e-9a52-6f8f5d2f7f10"),
    ],
)
async def test_stored_masks_that_are_damaged_or_of_something_else_are_made_again(
    stage: SegmentStage, store: DirectoryObjectStore, watched: Watched, damage: Any
) -> None:
    event = await preprocessed(store, picture(6), model="watched")
    first = await stage.handle(event)
    good = await store.get(first.masks_object)
    await store.put(first.masks_object, damage(good))
    again = await stage.handle(event)
    assert watched.batches == [1, 1]
    assert again.masks_sha256 == first.masks_sha256
    assert await store.get(first.masks_object) == good


async def test_a_repair_uses_masks_that_have_the_hash_that_was_said_and_asks_the_model_nothing(
    stage: SegmentStage, store: DirectoryObjectStore, watched: Watched
) -> None:
    event = await preprocessed(store, picture(6), model="watched")
    first = await stage.handle(event)
    again = await stage.repair(event, first)
    assert watched.batches == [1]
    assert again.model_dump(exclude={"time"}) == first.model_dump(exclude={"time"})


@pytest.mark.parametrize("known", [True, False])
async def test_a_repair_makes_masks_again_that_were_altered_so_that_they_can_still_be_read(
    stage: SegmentStage, store: DirectoryObjectStore, watched: Watched, known: bool
) -> None:
    event = await preprocessed(store, picture(6), model="watched")
    first = await stage.handle(event)
    good = await store.get(first.masks_object)
    await store.put(first.masks_object, rewritten(good))  # the same content in other bytes
    assert (await stage.handle(event)).masks_sha256 != first.masks_sha256, "nothing but the hash tells"
    again = await stage.repair(event, first if known else None)
    assert watched.batches == [1, 1]
    assert again.masks_sha256 == first.masks_sha256
    assert await store.get(first.masks_object) == good


async def test_a_picture_that_was_altered_in_the_store_is_refused(
    stage: SegmentStage, store: DirectoryObjectStore
) -> None:
    event = await preprocessed(store, picture(7))
    await preprocessed(store, picture(8))  # the same key
    with pytest.raises(Refused, match=event.normalised.object) as refused:
        await stage.handle(event)
    assert refused.value.code is ReasonCode.OBJECT_ALTERED


async def test_a_picture_of_another_size_than_the_event_says_is_refused(
    stage: SegmentStage, store: DirectoryObjectStore
) -> None:
    event = await preprocessed(store, picture(7), width=41)
    with pytest.raises(Refused, match="40 × 30 pixels, but the event says 41 × 30") as refused:
        await stage.handle(event)
    assert refused.value.code is ReasonCode.OBJECT_ALTERED


async def test_a_picture_that_is_gone_is_refused_as_missing(stage: SegmentStage, store: DirectoryObjectStore) -> None:
    event = await preprocessed(store, picture(7))
    await store.delete(event.normalised.object)
    with pytest.raises(Refused) as refused:
        await stage.handle(event)
    assert refused.value.code is ReasonCode.OBJECT_MISSING


@pytest.mark.parametrize("model", ["no-such-model", "test-threshold@000000000000"])
async def test_an_unknown_model_is_refused(stage: SegmentStage, store: DirectoryObjectStore, model: str) -> None:
    with pytest.raises(Refused) as refused:
        await stage.handle(await preprocessed(store, picture(7), model=model))
    assert refused.value.code is ReasonCode.MODEL_UNKNOWN


async def test_a_picture_that_the_model_cannot_bear_is_refused_and_its_batch_mates_are_not(
    stage: SegmentStage, store: DirectoryObjectStore, watched: Watched
) -> None:
    pictures = [picture(1), np.zeros((9, 9, 3), np.uint8), picture(2)]
    events = [await preprocessed(store, one, f"file:///{n}", "watched") for n, one in enumerate(pictures)]
    first, second, third = await asyncio.gather(*map(stage.handle, events), return_exceptions=True)
    assert not isinstance(first, BaseException)
    assert not isinstance(third, BaseException)
    assert isinstance(second, Refused)
    assert second.code is ReasonCode.MODEL_FAILED
    assert "ValueError: black picture" in str(second)
    assert await store.stat(masks_key(first.segmentation_id))


async def test_an_event_without_the_originals_hash_is_refused(stage: SegmentStage, store: DirectoryObjectStore) -> None:
    event = await preprocessed(store, picture(7))
    event = event.model_copy(update={"original": event.original.model_copy(update={"sha256": None})})
    with pytest.raises(Refused, match="without the sha256") as refused:
        await stage.handle(event)
    assert refused.value.code is ReasonCode.UNDECODABLE_EVENT


async def test_closing_while_pictures_wait_answers_them(store: DirectoryObjectStore) -> None:
    stage = SegmentStage(store, Settings(batch_wait=60))
    await stage.open()
    waiting = asyncio.create_task(stage.handle(await preprocessed(store, picture(1))))
    async with asyncio.timeout(10):
        while not stage._batcher._queues:  # noqa: ASYNC110 - no event tells of the batcher's own queue
            await asyncio.sleep(0.005)
    await stage.close()
    with pytest.raises(Retriable, match="stopping"):
        await asyncio.wait_for(waiting, 10)


@pytest.mark.torch
async def test_the_default_model_runs_in_the_stage(stage: SegmentStage, store: DirectoryObjectStore) -> None:
    from sklearn.datasets import load_sample_image

    said = await stage.handle(await preprocessed(store, load_sample_image("flower.jpg"), model=DEFAULT_MODEL))
    assert said.model == resolve(DEFAULT_MODEL).reference
    assert said.masks[0].category == "daisy"
    assert 0.1 < said.masks[0].area / (640 * 427) < 0.4
