"""The shelf: what is put can be loaded; what is damaged, altered or missing is refused and says what to do."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import numpy as np
import pytest

from tests.model.kinds import luma
from watson.errors import ReasonCode, Refused, Retriable, UserError
from watson.model.cards import ModelCard, card_key, weights_key
from watson.model.shelf import ModelShelf
from watson.model.weights import sha256_of
from watson.settings import Settings
from watson.storage.directory import DirectoryObjectStore

pytestmark = pytest.mark.usefixtures("luma_kind")


@pytest.fixture
def store(tmp_path: Path) -> DirectoryObjectStore:
    return DirectoryObjectStore(tmp_path / "objects")


@pytest.fixture
def shelf(store: DirectoryObjectStore, tmp_path: Path) -> ModelShelf:
    return ModelShelf(store, Settings(models_dir=tmp_path / "cache"))


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    return luma.write_weights(tmp_path / "edges.json")


@pytest.fixture
def card(weights: Path) -> ModelCard:
    return ModelCard(
        name="street",
        kind=luma.NAME,
        weights_sha256=sha256_of(weights),
        weights_size=weights.stat().st_size,
        categories=("grey",),
        configuration={"category": "grey", "fails": False},
    )


async def test_what_was_put_is_looked_up_and_loaded(shelf: ModelShelf, card: ModelCard, weights: Path) -> None:
    await shelf.put(card, weights)
    assert await shelf.info(card.reference) == card.info
    await shelf.verify(card)
    segmenter = await shelf.load(card.reference)
    (found,) = segmenter.segment([np.full((4, 5, 3), 200, np.uint8)])
    assert segmenter.info.reference == card.reference
    assert found.instances[0].mask.all()


async def test_models_that_watson_brings_need_no_object(shelf: ModelShelf) -> None:
    info = await shelf.info("test-threshold")
    assert (await shelf.load(info.reference)).info == info


async def test_weights_are_fetched_once(
    shelf: ModelShelf, store: DirectoryObjectStore, card: ModelCard, weights: Path
) -> None:
    await shelf.put(card, weights)
    first = await shelf.weights(card)
    await store.delete(weights_key(card.weights_sha256))
    assert await shelf.weights(card) == first


async def test_workers_that_fetch_at_the_same_time_disturb_nobody(
    store: DirectoryObjectStore, card: ModelCard, weights: Path, tmp_path: Path
) -> None:
    shelves = [ModelShelf(store, Settings(models_dir=tmp_path / "cache")) for _ in range(8)]
    await shelves[0].put(card, weights)
    paths = set(await asyncio.gather(*(shelf.weights(card) for shelf in shelves)))
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [paths.pop().name]


async def test_damaged_weights_in_the_cache_are_fetched_again(
    shelf: ModelShelf, card: ModelCard, weights: Path
) -> None:
    await shelf.put(card, weights)
    path = await shelf.weights(card)
    luma.write_weights(path, 1, 2)
    assert sha256_of(await shelf.weights(card)) == card.weights_sha256


@pytest.mark.parametrize("reference", ["street", "street@", "street@0123456789ab", "../street@0123456789ab", "a/b@c"])
async def test_a_model_that_nobody_registered_is_refused(shelf: ModelShelf, reference: str) -> None:
    with pytest.raises(Refused, match="watson models add") as refused:
        await shelf.info(reference)
    assert refused.value.code is ReasonCode.MODEL_UNKNOWN


@pytest.mark.parametrize("altered", [b"[0, 255]", b"[100, 25", b"", b"[100, 255]" * 9])
async def test_altered_weights_are_refused_before_they_are_read(
    shelf: ModelShelf, store: DirectoryObjectStore, card: ModelCard, weights: Path, altered: bytes
) -> None:
    await shelf.put(card, weights)
    await store.put(weights_key(card.weights_sha256), altered)
    with pytest.raises(Refused, match=card.weights_sha256) as refused:
        await shelf.load(card.reference)
    assert refused.value.code is ReasonCode.MODEL_UNKNOWN
    await shelf.put(card, weights)
    assert (await shelf.load(card.reference)).info.reference == card.reference, "registering it again makes it good"


@pytest.mark.parametrize("altered", [None, b"shorter"])
async def test_weights_that_are_not_there_or_not_whole_are_noticed_without_fetching(
    shelf: ModelShelf, store: DirectoryObjectStore, card: ModelCard, weights: Path, altered: bytes | None
) -> None:
    await shelf.put(card, weights)
    key = weights_key(card.weights_sha256)
    await (store.delete(key) if altered is None else store.put(key, altered))
    with pytest.raises(Refused, match="Register the model again"):
        await shelf.verify(card)
    await shelf.put(card, weights)
    await shelf.verify(card)


async def test_a_kind_that_this_code_does_not_run_is_refused(shelf: ModelShelf, card: ModelCard, weights: Path) -> None:
    other = card.model_copy(update={"kind": "tomorrow"})
    await shelf.put(other, weights)
    for look in (shelf.verify(other), shelf.load(other.reference)):
        with pytest.raises(Refused, match="'tomorrow'") as refused:
            await look
        assert refused.value.code is ReasonCode.MODEL_UNKNOWN


async def test_an_altered_card_is_refused(
    shelf: ModelShelf, store: DirectoryObjectStore, card: ModelCard, weights: Path
) -> None:
    await shelf.put(card, weights)
    other = card.model_copy(update={"categories": ("black",)})
    await store.put(card_key(card.reference), other.to_bytes())
    with pytest.raises(Refused, match="damaged"):
        await shelf.info(card.reference)


async def test_weights_that_changed_since_they_were_hashed_are_not_kept(
    shelf: ModelShelf, store: DirectoryObjectStore, card: ModelCard, weights: Path
) -> None:
    luma.write_weights(weights, 1, 2)
    with pytest.raises(UserError, match="changed"):
        await shelf.put(card, weights)
    assert await store.stat(card_key(card.reference)) is None


async def test_a_cache_that_cannot_be_written_can_pass(
    store: DirectoryObjectStore, card: ModelCard, weights: Path, tmp_path: Path
) -> None:
    (tmp_path / "cache").write_text("")
    shelf = ModelShelf(store, Settings(models_dir=tmp_path / "cache" / "below"))
    await shelf.put(card, weights)
    with pytest.raises(Retriable, match="WATSON_MODELS_DIR"):
        await shelf.weights(card)


async def test_of_two_models_with_one_version_the_first_stays(
    shelf: ModelShelf, card: ModelCard, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("watson.model.cards.model_version", lambda *_: "0123456789ab")
    await shelf.put(card, weights)
    await shelf.put(card, weights)
    other = card.model_copy(update={"configuration": {"category": "grey", "fails": True}})
    assert other.reference == card.reference
    with pytest.raises(UserError, match=r"street@0123456789ab is another model already"):
        await shelf.put(other, weights)
    assert await ModelShelf(shelf._objects, Settings(models_dir=weights.parent / "c")).card(card.reference) == card


async def test_what_a_disk_forgot_of_the_cache_is_noticed_though_no_time_of_change_tells(
    shelf: ModelShelf, card: ModelCard, weights: Path
) -> None:
    await shelf.put(card, weights)
    kept = await shelf.weights(card)
    whole, times = kept.read_bytes(), kept.stat()
    kept.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    os.utime(kept, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert (await shelf.weights(card)).read_bytes() == whole
