from __future__ import annotations

import asyncio
import hashlib
import threading
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from PIL import Image

from tests.imaging.samples import encoded, photograph, pixels, scene, with_orientation
from watson.errors import ReasonCode, Refused, Retriable
from watson.events import ImageDiscovered, ImagePreprocessed, JobOptions, Original, image_key
from watson.settings import Settings
from watson.stages import preprocess
from watson.stages.preprocess import PreprocessStage
from watson.storage.directory import DirectoryObjectStore

URI = "s3://photos/a.jpg"


class Originals:
    """A source in memory. ``most`` is the greatest number of reads that were going on at once."""

    def __init__(self, data: bytes = b"") -> None:
        self.data = data
        self.limits: list[int] = []
        self.failure: Exception | None = None
        self.now = self.most = 0

    async def read(self, uri: str, limit: int, within: str | None = None) -> bytes:
        assert uri.startswith("s3://photos/")
        self.limits.append(limit)
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0)
        self.now -= 1
        if self.failure is not None:
            raise self.failure
        return self.data


@pytest.fixture
async def store(tmp_path: Path) -> DirectoryObjectStore:
    objects = DirectoryObjectStore(tmp_path)
    await objects.open()
    return objects


@pytest.fixture
def originals() -> Originals:
    return Originals()


@pytest.fixture
async def stage(store: DirectoryObjectStore, originals: Originals) -> AsyncIterator[PreprocessStage]:
    made = PreprocessStage(store, originals, Settings(threads=2, max_pixels=1_000_000, max_bytes=5_000_000))
    await made.open()
    yield made
    await made.close()


def discovered(size: int | None = None, long_side: int = 256) -> ImageDiscovered:
    return ImageDiscovered(
        job="holiday",
        image_key=image_key(URI),
        dataset="photos",
        original=Original(uri=URI, size=size, etag="abc"),
        index=3,
        model="some-model",
        options=JobOptions(long_side=long_side),
    )


async def test_the_event_tells_the_original_and_the_stored_object(
    stage: PreprocessStage, originals: Originals, store: DirectoryObjectStore
) -> None:
    originals.data = encoded(photograph(640, 480), "JPEG")
    event = await stage.handle(discovered())

    sha256 = hashlib.sha256(originals.data).hexdigest()
    assert event.original == Original(
        uri=URI, size=len(originals.data), etag="abc", sha256=sha256, width=640, height=480, format="JPEG"
    )
    assert event.normalised.object == f"preprocessed/1-256/{sha256}.jpg"
    assert (event.normalised.width, event.normalised.height, event.normalised.version) == (256, 192, "1-256")
    stored = await store.get(event.normalised.object)
    assert hashlib.sha256(stored).hexdigest() == event.normalised.sha256
    assert pixels(stored).shape == (192, 256, 3)


async def test_what_the_job_wants_is_carried_on(stage: PreprocessStage, originals: Originals) -> None:
    originals.data = encoded(scene(), "PNG")
    before = discovered(long_side=64)
    after = await stage.handle(before)
    assert (after.job, after.image_key, after.dataset, after.model, after.options) == (
        before.job, before.image_key, before.dataset, before.model, before.options,
    )  # fmt: skip


async def test_a_lossless_original_is_stored_as_png(
    stage: PreprocessStage, originals: Originals, store: DirectoryObjectStore
) -> None:
    originals.data = encoded(scene(), "PNG")
    event = await stage.handle(discovered())
    assert event.normalised.object.endswith(".png")
    assert (await store.get(event.normalised.object)).startswith(b"\x89PNG")


async def test_width_and_height_of_the_original_are_those_of_the_upright_picture(
    stage: PreprocessStage, originals: Originals
) -> None:
    originals.data = with_orientation(scene(120, 80), 6, "JPEG")
    event = await stage.handle(discovered())
    assert (event.original.width, event.original.height) == (120, 80)


async def test_doing_it_twice_gives_the_same_id_and_the_same_object(
    stage: PreprocessStage, originals: Originals, store: DirectoryObjectStore
) -> None:
    originals.data = encoded(photograph(), "JPEG")
    first = await stage.handle(discovered())
    stored = await store.get(first.normalised.object)
    second = await stage.handle(discovered())
    assert second.id == first.id
    assert second.model_copy(update={"time": first.time}) == first
    assert await store.get(second.normalised.object) == stored


async def test_an_object_that_was_damaged_is_made_good_again(
    stage: PreprocessStage, originals: Originals, store: DirectoryObjectStore
) -> None:
    originals.data = encoded(photograph(), "JPEG")
    event = await stage.handle(discovered())
    await store.put(event.normalised.object, b"half an obj")
    again = await stage.handle(discovered())
    assert hashlib.sha256(await store.get(again.normalised.object)).hexdigest() == event.normalised.sha256


async def test_a_size_that_differs_from_the_listing_is_no_reason_to_refuse(
    stage: PreprocessStage, originals: Originals
) -> None:
    originals.data = encoded(scene(), "PNG")
    event = await stage.handle(discovered(size=17))
    assert event.original.size == len(originals.data)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", ReasonCode.EMPTY_FILE),
        (b"just some text", ReasonCode.NOT_AN_IMAGE),
        (b"%PDF-1.4", ReasonCode.UNSUPPORTED_FORMAT),
        (encoded(photograph(), "JPEG")[:2000], ReasonCode.TRUNCATED),
        (encoded(Image.new("L", (2000, 1000)), "PNG"), ReasonCode.TOO_MANY_PIXELS),
    ],
)
async def test_a_poison_picture_is_refused_with_its_reason_and_nothing_is_stored(
    stage: PreprocessStage, originals: Originals, store: DirectoryObjectStore, data: bytes, code: ReasonCode
) -> None:
    originals.data = data
    with pytest.raises(Refused) as caught:
        await stage.handle(discovered())
    assert caught.value.code is code
    assert [page async for page in store.list()] == []


async def test_what_the_reader_says_is_passed_on(stage: PreprocessStage, originals: Originals) -> None:
    for failure in (Refused(ReasonCode.OBJECT_MISSING, "gone"), Retriable("slow down")):
        originals.failure = failure
        with pytest.raises(type(failure)) as caught:
            await stage.handle(discovered())
        assert caught.value is failure


async def test_the_reader_is_given_the_limit_on_bytes(stage: PreprocessStage, originals: Originals) -> None:
    originals.data = encoded(scene(), "PNG")
    await stage.handle(discovered())
    assert originals.limits == [5_000_000]


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """Decoding takes a while; returns the names of the threads it was done in."""
    names: list[str] = []
    real = preprocess.normalise

    def normalise(*args: object, **options: object) -> object:
        names.append(threading.current_thread().name)
        time.sleep(0.1)
        return real(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(preprocess, "normalise", normalise)
    return lambda: names


async def test_decoding_is_done_in_the_stages_threads_and_the_loop_goes_on(
    stage: PreprocessStage, originals: Originals, slow: Callable[[], list[str]]
) -> None:
    originals.data = encoded(scene(), "PNG")
    work = asyncio.create_task(stage.handle(discovered()))
    turns = 0
    while not work.done():
        await asyncio.sleep(0.001)
        turns += 1
    assert isinstance(await work, ImagePreprocessed)
    assert all(name.startswith("decode") for name in slow())
    assert turns > 10


async def test_no_more_originals_are_held_at_once_than_there_are_places(
    stage: PreprocessStage, originals: Originals, slow: Callable[[], list[str]]
) -> None:
    originals.data = encoded(scene(), "PNG")
    await asyncio.gather(*(stage.handle(discovered(long_side=64 + number)) for number in range(20)))
    assert originals.most <= 8
    assert len(slow()) == 20


@pytest.fixture
def decodes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The long side of each picture that was decoded."""
    told: list[int] = []
    real = preprocess.normalise

    def normalise(data: bytes, *, long_side: int, max_pixels: int) -> object:
        told.append(long_side)
        return real(data, long_side=long_side, max_pixels=max_pixels)

    monkeypatch.setattr(preprocess, "normalise", normalise)
    return told


@pytest.fixture
def puts(monkeypatch: pytest.MonkeyPatch, store: DirectoryObjectStore) -> list[str]:
    """Keys that were put."""
    told: list[str] = []
    real = store.put

    async def put(key: str, data: bytes, content_type: str = "") -> None:
        told.append(key)
        await real(key, data, content_type)

    monkeypatch.setattr(store, "put", put)
    return told


def of_job(job: str, model: str, **options: int) -> ImageDiscovered:
    return discovered(**options).model_copy(update={"job": job, "model": model})


async def test_another_job_over_the_same_original_decodes_and_puts_nothing(
    stage: PreprocessStage, originals: Originals, decodes: list[int], puts: list[str]
) -> None:
    originals.data = with_orientation(scene(600, 400), 6, "JPEG")
    first = await stage.handle(of_job("one", "m1"))
    assert (len(decodes), len(puts)) == (1, 2)
    second = await stage.handle(of_job("two", "m2"))
    assert (len(decodes), len(puts)) == (1, 2)
    assert (second.original, second.normalised) == (first.original, first.normalised)
    assert (second.job, second.model) == ("two", "m2")


async def test_another_long_side_or_another_original_is_another_picture(
    stage: PreprocessStage, originals: Originals, decodes: list[int]
) -> None:
    originals.data = encoded(photograph(640, 480), "JPEG")
    await stage.handle(discovered())
    await stage.handle(discovered(long_side=128))
    originals.data = encoded(photograph(640, 481), "JPEG")  # replaced in place
    await stage.handle(discovered())
    assert decodes == [256, 128, 256]


@pytest.mark.parametrize("suffix", ["jpg", "json"])
@pytest.mark.parametrize("damage", [b"", b"half an obj", b'{"format": "watson-normalised/2"}', b"x" * 10_000, None])
async def test_what_is_damaged_or_gone_is_made_again_and_never_believed(
    stage: PreprocessStage,
    originals: Originals,
    store: DirectoryObjectStore,
    decodes: list[int],
    suffix: str,
    damage: bytes | None,
) -> None:
    originals.data = encoded(photograph(), "JPEG")
    before = await stage.handle(discovered())
    key = before.normalised.object.replace(".jpg", f".{suffix}")
    whole = await store.get(key)
    await (store.delete(key) if damage is None else store.put(key, damage))
    after = await stage.handle(discovered())
    assert len(decodes) == 2
    assert after.normalised == before.normalised
    assert await store.get(key) == whole


async def test_a_note_that_names_another_object_is_not_followed(
    stage: PreprocessStage, originals: Originals, store: DirectoryObjectStore, decodes: list[int]
) -> None:
    originals.data = encoded(photograph(), "JPEG")
    before = await stage.handle(discovered())
    note = before.normalised.object.replace(".jpg", ".json")
    await store.put("secret.jpg", b"secret")
    forged = (await store.get(note)).replace(before.normalised.object.encode(), b"secret.jpg")
    forged = forged.replace(before.normalised.sha256.encode(), hashlib.sha256(b"secret").hexdigest().encode())
    await store.put(note, forged)
    after = await stage.handle(discovered())
    assert (len(decodes), after.normalised) == (2, before.normalised)


async def test_a_picture_that_was_made_where_more_pixels_are_allowed_is_refused_where_fewer_are(
    stage: PreprocessStage, originals: Originals, store: DirectoryObjectStore
) -> None:
    originals.data = encoded(photograph(640, 480), "JPEG")
    await stage.handle(discovered())
    strict = PreprocessStage(store, originals, Settings(threads=1, max_pixels=640 * 480 - 1))
    await strict.open()
    with pytest.raises(Refused) as caught:
        await strict.handle(discovered())
    await strict.close()
    assert caught.value.code is ReasonCode.TOO_MANY_PIXELS


async def test_a_repair_makes_the_picture_again_though_it_looks_whole(
    stage: PreprocessStage, originals: Originals, decodes: list[int], puts: list[str]
) -> None:
    originals.data = encoded(photograph(), "JPEG")
    before = await stage.handle(discovered())
    after = await stage.repair(discovered(), before)
    assert (len(decodes), len(puts)) == (2, 4)
    assert after.normalised == before.normalised


async def test_a_store_that_denies_or_is_away_is_said_so_and_not_taken_for_a_picture_that_is_not_there(
    stage: PreprocessStage, originals: Originals, store: DirectoryObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    originals.data = encoded(photograph(), "JPEG")
    for failure in (Refused(ReasonCode.ACCESS_DENIED, "no"), Retriable("slow down")):

        async def get(key: str, limit: int | None = None, failure: Exception = failure) -> bytes:
            raise failure

        monkeypatch.setattr(store, "get", get)
        with pytest.raises(type(failure)) as caught:
            await stage.handle(discovered())
        assert caught.value is failure


async def test_a_stage_that_was_not_opened_says_so(store: DirectoryObjectStore, originals: Originals) -> None:
    with pytest.raises(RuntimeError, match="open"):
        await PreprocessStage(store, originals, Settings()).handle(discovered())
