from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco

from tests.web.scene import Scene, rectangle, site
from watson.events import ImageCatalogued
from watson.web.palette import PALETTE, colour

SHAPE = (40, 60)


def address(event: ImageCatalogued, name: str) -> str:
    return f"/jobs/{event.job}/images/{event.image_key}/{name}"


def gradient(height: int, width: int) -> np.ndarray:
    rows, columns = np.mgrid[0:height, 0:width]
    return np.stack([rows * 255 // height, columns * 255 // width, np.full((height, width), 90)], -1).astype(np.uint8)


async def catalogued(scene: Scene, **changes: str) -> ImageCatalogued:
    """Mask 0 is large, mask 1 lies within it."""
    await scene.add_job("j")
    masks = [
        rectangle(SHAPE, slice(0, 30), slice(0, 40)),
        rectangle(SHAPE, slice(10, 20), slice(10, 20), category="dog", score=0.5),
    ]
    return await scene.add_image("j", "file:///a.jpg", gradient(*SHAPE), masks, **changes)


def rgba(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGBA"))


async def test_the_overlay_has_each_mask_in_its_colour_and_nothing_elsewhere(scene: Scene) -> None:
    event = await catalogued(scene)
    async with site(scene) as client, client.get(address(event, "overlay.png")) as answer:
        assert answer.content_type == "image/png"
        pixels = rgba(await answer.read())
    assert pixels.shape == (*SHAPE, 4)
    assert not pixels[30:, :, 3].any()
    assert not pixels[:, 40:, 3].any()
    assert tuple(pixels[5, 5]) == (*PALETTE[0], 110)
    assert tuple(pixels[0, 5]) == tuple(pixels[29, 39]) == (*PALETTE[0], 255)
    assert tuple(pixels[15, 15]) == (*PALETTE[1], 110)
    assert tuple(pixels[10, 15]) == tuple(pixels[11, 15]) == (*PALETTE[1], 255)
    assert tuple(pixels[12, 15]) == (*PALETTE[1], 110)
    assert (pixels[:30, :40, 3] > 0).all()


async def test_masks_of_one_category_have_one_colour(scene: Scene) -> None:
    await scene.add_job("j")
    masks = [rectangle(SHAPE, slice(n, n + 10), slice(0, 40), category="dog", score=0.9 - n / 100) for n in (0, 20)]
    event = await scene.add_image("j", "file:///a.jpg", gradient(*SHAPE), masks)
    async with site(scene) as client, client.get(address(event, "overlay.png")) as answer:
        pixels = rgba(await answer.read())
    assert tuple(pixels[5, 5]) == tuple(pixels[25, 5]) == (*PALETTE[1], 110)


async def test_a_browser_gets_the_masks_as_run_lengths_that_are_the_overlays_masks(scene: Scene) -> None:
    event = await catalogued(scene)
    async with site(scene) as client:
        async with client.get(address(event, "masks.json?size=30")) as answer:
            drawing = await answer.json()
        overlays = {}
        for index in (0, 1):
            async with client.get(address(event, f"overlay.png?size=30&mask={index}")) as answer:
                overlays[index] = rgba(await answer.read())[..., 3] > 0
    assert drawing["size"] == [20, 30]
    assert [(one["index"], one["category"], one["colour"]) for one in drawing["masks"]] == [
        (0, "cat", colour(0)),
        (1, "dog", colour(1)),
    ], "the larger first, so that the smaller lies on top"
    for one in drawing["masks"]:
        pixels = coco.decode({"size": drawing["size"], "counts": one["counts"]}).astype(bool)
        assert (pixels == overlays[one["index"]]).all()


async def test_masks_can_be_chosen(scene: Scene) -> None:
    event = await catalogued(scene)
    async with site(scene) as client, client.get(address(event, "overlay.png?mask=1")) as answer:
        pixels = rgba(await answer.read())
    shown = np.zeros(SHAPE, bool)
    shown[10:20, 10:20] = True
    assert ((pixels[..., 3] > 0) == shown).all()


async def test_a_masks_place_in_the_gallery_overlay_is_its_place_in_the_picture(scene: Scene) -> None:
    await scene.add_job("j")
    mask = rectangle((400, 1000), slice(100, 200), slice(500, 750))
    event = await scene.add_image("j", "file:///wide.jpg", gradient(400, 1000), [mask])
    async with site(scene) as client, client.get(address(event, "overlay.png?size=320")) as answer:
        alpha = rgba(await answer.read())[..., 3]
    assert alpha.shape == (128, 320)
    rows, columns = np.nonzero(alpha)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (32, 63, 160, 239)


@pytest.mark.parametrize(
    "query", ["mask=2", "mask=-1", "mask=00", "mask=x", "size=15", "size=2049", "size=1e3", "size=" + "9" * 4000]
)
async def test_a_wrong_choice_of_masks_or_size_is_400(scene: Scene, query: str) -> None:
    event = await catalogued(scene)
    async with site(scene) as client:
        for name in ("overlay.png", "masks.json"):
            async with client.get(address(event, f"{name}?{query}")) as answer:
                assert answer.status == 400


@pytest.mark.parametrize(("size", "status"), [("320", 200), ("640", 200), ("321", 400), ("", 400), ("0640", 400)])
async def test_thumbnails_come_in_two_sizes(scene: Scene, size: str, status: int) -> None:
    await scene.add_job("j")
    event = await scene.add_image("j", "file:///a.jpg", gradient(450, 900), [], suffix="jpg")
    async with site(scene) as client, client.get(address(event, f"thumbnail.jpg?size={size}")) as answer:
        assert answer.status == status
        if status == 200:
            with Image.open(io.BytesIO(await answer.read())) as image:
                assert image.size == (int(size), int(size) // 2)


@pytest.mark.parametrize(("suffix", "content_type"), [("png", "image/png"), ("jpg", "image/jpeg")])
async def test_the_picture_is_the_stored_object(scene: Scene, suffix: str, content_type: str) -> None:
    event = await catalogued(scene, suffix=suffix)
    async with site(scene) as client, client.get(address(event, "picture")) as answer:
        assert answer.content_type == content_type
        assert await answer.read() == await scene.objects.get(event.normalised.object)


@pytest.mark.parametrize(("shape", "size"), [((400, 1000), (320, 128)), ((900, 450), (160, 320)), ((30, 20), (20, 30))])
async def test_a_thumbnail_is_small_upright_and_looks_the_same(
    scene: Scene, shape: tuple[int, int], size: tuple[int, int]
) -> None:
    await scene.add_job("j")
    event = await scene.add_image("j", "file:///a.jpg", gradient(*shape), [], suffix="jpg")
    async with site(scene) as client, client.get(address(event, "thumbnail.jpg")) as answer:
        assert answer.content_type == "image/jpeg"
        with Image.open(io.BytesIO(await answer.read())) as image:
            assert image.size == size
            pixels = np.asarray(image).astype(int)
    assert np.abs(pixels - gradient(size[1], size[0])).mean() < 5


@pytest.mark.parametrize(
    "name", ["picture", "thumbnail.jpg", "overlay.png", "overlay.png?mask=0&size=320", "masks.json?size=320"]
)
async def test_what_a_browser_has_is_not_sent_again(scene: Scene, name: str) -> None:
    event = await catalogued(scene)
    async with site(scene) as client:
        async with client.get(address(event, name)) as answer:
            tag, body = answer.headers["ETag"], await answer.read()
            assert answer.headers["Cache-Control"] == "private, no-cache"
        async with client.get(address(event, name), headers={"If-None-Match": tag}) as answer:
            assert answer.status == 304
            assert answer.headers["ETag"] == tag
            assert await answer.read() == b""
        async with client.get(address(event, name), headers={"If-None-Match": '"other"'}) as answer:
            assert await answer.read() == body


async def test_different_overlays_have_different_tags(scene: Scene) -> None:
    event = await catalogued(scene)
    tags = set()
    names = [
        "overlay.png",
        "overlay.png?mask=0",
        "overlay.png?mask=1",
        "overlay.png?size=320",
        "masks.json",
        "masks.json?size=320",
        "thumbnail.jpg",
        "thumbnail.jpg?size=640",
        "picture",
    ]
    async with site(scene) as client:
        for name in names:
            async with client.get(address(event, name)) as answer:
                tags.add(answer.headers["ETag"])
    assert len(tags) == len(names)


async def test_only_addresses_with_the_contents_version_are_kept_for_ever(scene: Scene) -> None:
    event = await catalogued(scene)
    async with site(scene) as client:
        async with client.get(f"/jobs/j/images/{event.image_key}") as answer:
            page = await answer.text()
        overlay = page.split('data-base="')[1].split('"')[0].replace("&amp;", "&")
        picture = page.split('id="picture" src="')[1].split('"')[0].replace("&amp;", "&")
        for shown in (overlay, picture):
            async with client.get(shown) as answer:
                assert answer.headers["Cache-Control"] == "private, max-age=31536000, immutable"
        async with client.get(address(event, "picture?v=000000000000")) as answer:
            assert answer.headers["Cache-Control"] == "private, no-cache"


@pytest.mark.parametrize("key", ["models/secret", "preprocessed/../models/secret", "masks/x.json.gz", "/etc/passwd"])
async def test_a_forged_row_cannot_be_used_to_read_other_objects(scene: Scene, key: str) -> None:
    event = await catalogued(scene)
    await scene.objects.put("models/secret", b"secret")
    forged = event.model_copy(
        update={
            "normalised": event.normalised.model_copy(update={"object": key}),
            "masks_object": key,
            "time": event.time.replace(year=2027),
        }
    )
    await scene.catalogue.put_image(forged)
    async with site(scene) as client:
        for name in ("picture", "thumbnail.jpg", "overlay.png", "masks.json"):
            async with client.get(address(event, name)) as answer:
                assert answer.status == 502
                assert "secret" not in (await answer.text()).replace(key, "")


async def test_an_object_that_was_altered_is_not_served(scene: Scene) -> None:
    event = await catalogued(scene)
    await scene.objects.put(event.normalised.object, b"something else")
    await scene.objects.put(event.masks_object, b"something else")
    async with site(scene) as client:
        for name in ("picture", "thumbnail.jpg", "overlay.png", "masks.json"):
            async with client.get(address(event, name)) as answer:
                assert answer.status == 502
                assert "object-altered" in (await answer.json())["error"]


async def test_an_object_that_is_gone_is_404(scene: Scene) -> None:
    event = await catalogued(scene)
    await scene.objects.delete(event.normalised.object)
    async with site(scene) as client, client.get(address(event, "picture")) as answer:
        assert answer.status == 404
        assert "object-missing" in (await answer.json())["error"]


async def test_an_image_without_masks_has_an_empty_overlay(scene: Scene) -> None:
    await scene.add_job("j")
    event = await scene.add_image("j", "file:///a.jpg", gradient(*SHAPE), [])
    async with site(scene) as client, client.get(address(event, "overlay.png")) as answer:
        assert not rgba(await answer.read())[..., 3].any()
