"""Dead letters: counted, shown, sent round again."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from aiohttp import ClientSession
from PIL import Image

from tests.web.forms import browser, forms_of, send, text_of
from tests.web.log import Log
from tests.web.scene import START, Scene, rectangle, site
from watson.errors import ReasonCode
from watson.events import ImageDiscovered, ImagePreprocessed, Original, encode, image_key
from watson.sources.http import HttpReader

HERE = "/jobs/j/dead-letters"
RETRY = f"{HERE}/retry"
AWAY = ReasonCode.STORE_UNAVAILABLE


@pytest.fixture
async def letters(scene: Scene) -> Scene:
    await scene.add_job("j", quarantined=5)
    for n in range(2):
        await scene.add_dead_letter("j", f"file:///away{n}.jpg", reason=AWAY, offset=n)
    await scene.add_dead_letter("j", "file:///late.jpg", reason=AWAY, stage="segment", topic="preprocessed", offset=5)
    await scene.add_dead_letter("j", "file:///cut.jpg", offset=6)
    await scene.add_dead_letter("j", "file:///done.jpg", reason=AWAY, offset=7, resolved=True)
    return scene


async def test_letters_are_counted_by_reason_and_stage(letters: Scene) -> None:
    async with site(letters) as client:
        text = await text_of(await client.get(HERE))
    assert "store-unavailable preprocess 2 1 may help without a change" in text
    assert "store-unavailable segment 1 0 may help" in text
    assert "truncated preprocess 1 0 helps after a change alone" in text


async def test_a_group_can_be_looked_at_alone(letters: Scene) -> None:
    async with site(letters) as client:
        text = await text_of(await client.get(f"{HERE}?reason=store-unavailable&stage=segment"))
        assert "file:///late.jpg" in text
        assert "file:///away0.jpg" not in text
        assert "file:///cut.jpg" not in text
        async with client.get(f"{HERE}?reason=bad-mood") as answer:
            assert answer.status == 400


async def test_all_open_ones_of_a_reason_and_stage_are_sent_and_it_is_said_how_many(letters: Scene, log: Log) -> None:
    async with site(letters) as client:
        (group,) = [
            form for form in await forms_of(client, HERE)
            if (form[2].get("reason"), form[2].get("stage")) == ("store-unavailable", "preprocess")
        ]  # fmt: skip
        async with client.post(group[0], data=group[2], headers=browser(client)) as answer:
            assert "Sent 2 again." in await text_of(answer)
    assert sorted(record.offset or 0 for record in log.records) == [0, 1]


async def test_one_letter_alone_can_be_sent(letters: Scene, log: Log) -> None:
    letter = await letters.add_dead_letter("j", "file:///one.jpg", offset=9)
    async with site(letters) as client:
        (form,) = [form for form in await forms_of(client, HERE) if form[2].get("letter") == str(letter.id)]
        async with client.post(form[0], data=form[2], headers=browser(client)) as answer:
            assert "Sent 1 again." in await text_of(answer)
    assert [record.offset for record in log.records] == [9]


async def test_what_was_resolved_has_no_button_and_is_not_sent(letters: Scene, log: Log) -> None:
    done = await letters.add_dead_letter("j", "file:///done.jpg", reason=AWAY, offset=7, resolved=True)
    async with site(letters) as client:
        assert str(done.id) not in {form[2].get("letter") for form in await forms_of(client, HERE)}
        answer = await send(client, HERE, to=RETRY, letter=str(done.id), reason="", stage="")
        assert "Nothing that fits is open" in await text_of(answer)
    assert log.records == []


async def test_events_of_no_job_are_sent_from_their_own_page(scene: Scene, log: Log) -> None:
    await scene.add_dead_letter(None, "", reason=ReasonCode.UNDECODABLE_EVENT, stage="segment", offset=3)
    await scene.add_job("j", quarantined=4)
    async with site(scene) as client:
        assert "Of jobs j 4" in await text_of(await client.get("/dead-letters"))
        assert "Sent 1 again." in await text_of(await send(client, "/dead-letters"))
    assert [record.offset for record in log.records] == [3]


async def test_what_cannot_be_sent_is_said_with_the_reason(
    letters: Scene, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def half(_settings: Any, records: list[Any]) -> tuple[list[Any], list[str]]:
        return records[1:], ["image-discovered[3]@0 <b> is no longer in the log"]

    monkeypatch.setattr("watson.actions.retry.whole_records", half)
    async with site(letters) as client:
        answer = await send(client, HERE, to=RETRY, reason="store-unavailable", stage="preprocess", letter="")
        text = await answer.text()
    assert "Sent 1 again." in text
    assert "1 could not be sent: image-discovered[3]@0 &lt;b&gt; is no longer in the log" in text


async def test_a_retry_that_takes_long_goes_on_and_says_how_far_it_is(
    letters: Scene, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    going = asyncio.Event()
    started = 0

    async def slow(_settings: Any, records: list[Any]) -> tuple[list[Any], list[str]]:
        nonlocal started
        started += 1
        await going.wait()
        return records, []

    monkeypatch.setattr("watson.actions.retry.whole_records", slow)
    async with site(letters, web_timeout=0.6) as client:
        fields = {"reason": "store-unavailable", "stage": "", "letter": ""}
        for _ in range(2):  # who asks again joins in
            answer = await send(client, HERE, to=RETRY, **fields)
            assert answer.status == 200
            assert "so far; the others follow" in await text_of(answer)
        assert (started, log.records) == (1, [])
        going.set()
        async with asyncio.timeout(10):
            while len(log.records) < 3:  # noqa: ASYNC110 - another task sends
                await asyncio.sleep(0.01)


async def test_where_more_are_open_than_are_sent_at_once_that_is_said(
    letters: Scene, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("watson.web.retries.MOST", 2)
    async with site(letters) as client:
        answer = await send(client, HERE, to=RETRY, reason="store-unavailable", stage="", letter="")
        assert "Sent 2 again; there may be more, to be sent once these have ended." in await text_of(answer)
    assert len(log.records) == 2


async def test_with_the_broker_away_that_is_said(letters: Scene, log: Log) -> None:
    log.away = True
    async with site(letters) as client:
        answer = await send(client, HERE, to=RETRY, reason="", stage="", letter="")
        assert answer.status == 503
        assert "no Kafka broker answers" in await text_of(answer)


@pytest.mark.parametrize("fields", [{"letter": "x"}, {"reason": "bad-mood"}, {"letter": "' OR 1=1 --"}])
async def test_what_makes_no_sense_is_refused(letters: Scene, log: Log, fields: dict[str, str]) -> None:
    async with site(letters) as client:
        answer = await send(client, HERE, to=RETRY, **{"letter": "", "reason": "", "stage": "", **fields})
        assert answer.status == 400
    assert log.records == []


async def test_letters_of_a_job_that_there_is_not_are_not_sent(letters: Scene, log: Log) -> None:
    async with site(letters) as client, client.post("/api/v1/jobs/none/dead-letters/retry", json={}) as answer:
        assert answer.status == 404
    assert log.records == []


@pytest.mark.parametrize(
    ("asked", "offsets"),
    [
        ({}, [0, 1, 5, 6]),
        ({"reason": "truncated"}, [6]),
        ({"stage": "segment"}, [5]),
        ({"image_key": str(image_key("file:///away1.jpg"))}, [1]),
        ({"id": str(uuid4())}, []),
    ],
)
async def test_a_program_chooses_what_is_sent(
    letters: Scene, log: Log, asked: dict[str, str], offsets: list[int]
) -> None:
    async with site(letters) as client, client.post("/api/v1/jobs/j/dead-letters/retry", json=asked) as answer:
        assert (await answer.json()) == {"sent": len(offsets), "running": False, "lost": []}
    assert sorted(record.offset or 0 for record in log.records) == offsets


@pytest.mark.parametrize("asked", [{"reason": "bad-mood"}, {"stage": "x"}, {"id": 3}, {"all": True}, []])
async def test_a_program_that_asks_for_what_there_is_not_is_told(letters: Scene, log: Log, asked: Any) -> None:
    async with site(letters) as client, client.post("/api/v1/jobs/j/dead-letters/retry", json=asked) as answer:
        assert answer.status == 400
    assert log.records == []


# ------------------------------------------------------------------ pictures
GREEN = np.full((60, 80, 3), (0, 200, 0), np.uint8)


async def thumbnail(client: ClientSession, letter: Any) -> Image.Image | None:
    """The picture; None where there is none to show."""
    async with client.get(f"{HERE}/{letter.id}/thumbnail") as answer:
        assert answer.status == 200
        if answer.content_type == "image/svg+xml":
            return None
        assert answer.content_type == "image/jpeg"
        return Image.open(io.BytesIO(await answer.read()))


def discovered(uri: str, within: str | None = None) -> bytes:
    event = ImageDiscovered(
        time=START, job="j", image_key=image_key(uri), dataset="d", original=Original(uri=uri), within=within, index=0,
        model="m@1",
    )  # fmt: skip
    return encode(event, "/test")[1]


async def test_past_preprocess_the_normalised_picture_is_shown(scene: Scene) -> None:
    await scene.add_job("j")
    image = await scene.add_image("j", "file:///a.jpg", GREEN, [rectangle((60, 80), slice(5), slice(5))])
    event = ImagePreprocessed(
        time=START, job="j", image_key=image.image_key, dataset="d", original=image.original,
        normalised=image.normalised, model="m@1",
    )  # fmt: skip
    letter = await scene.add_dead_letter(
        "j", "file:///a.jpg", stage="segment", topic="preprocessed", value=encode(event, "/test")[1]
    )
    forged = event.model_copy(update={"normalised": image.normalised.model_copy(update={"object": "secret.png"})})
    other = await scene.add_dead_letter(
        "j", "file:///b.jpg", stage="segment", topic="preprocessed", value=encode(forged, "/test")[1]
    )
    await scene.objects.put("secret.png", await scene.objects.get(image.normalised.object))
    async with site(scene) as client:
        assert f"{HERE}/{letter.id}/thumbnail" in await (await client.get(HERE)).text()
        shown = await thumbnail(client, letter)
        assert shown is not None
        assert shown.getpixel((3, 3))[1] > 150
        assert await thumbnail(client, other) is None


async def test_before_that_the_original_is_shown_where_a_source_may_be(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fetch(_self: HttpReader, _url: str, _limit: int) -> bytes:
        return (tmp_path / "outside.jpg").read_bytes()

    monkeypatch.setattr(HttpReader, "read", fetch)  # a page makes nobody's server be asked, though sources may be there
    await scene.add_job("j")
    folder = tmp_path / "photographs"
    folder.mkdir()
    for place in (folder / "a.jpg", tmp_path / "outside.jpg"):
        Image.fromarray(GREEN).save(place)
    (folder / "link.jpg").symlink_to(tmp_path / "outside.jpg")
    (folder / "text.jpg").write_text("no picture")
    uris = {name: f"file://{folder}/{name}" for name in ("a.jpg", "link.jpg", "text.jpg", "none.jpg")}
    uris |= {
        "outside": f"file://{tmp_path}/outside.jpg",
        "http": "http://127.0.0.1:1/a.jpg",
        "etc": "file:///etc/passwd",
    }
    letters = {
        name: await scene.add_dead_letter("j", uri, reason=AWAY, value=discovered(uri, f"file://{folder}"))
        for name, uri in uris.items()
    }
    (folder / "inner").mkdir()
    (folder / "inner/link.jpg").symlink_to(folder / "a.jpg")
    uri = f"file://{folder}/inner/link.jpg"
    value = discovered(uri, f"file://{folder}/inner")
    letters["out of its source"] = await scene.add_dead_letter("j", uri, reason=AWAY, value=value)
    async with site(scene, source_roots=str(folder), http_sources=True) as client:
        shown = {name for name, letter in letters.items() if await thumbnail(client, letter) is not None}
    assert shown == {"a.jpg"}


@pytest.mark.parametrize("value", [b"", b"\xff", b"{}", b"[" * 50_000, discovered("unreadable:it is not")])
async def test_of_a_record_that_says_nothing_no_picture_is_shown(scene: Scene, value: bytes) -> None:
    await scene.add_job("j")
    letter = await scene.add_dead_letter("j", "file:///a.jpg", reason=AWAY, value=value)
    async with site(scene) as client:
        assert await thumbnail(client, letter) is None


async def test_a_letter_that_there_is_not_has_no_picture(scene: Scene) -> None:
    await scene.add_job("j")
    async with site(scene) as client:
        for name, status in ((str(uuid4()), 404), ("x", 400)):
            async with client.get(f"{HERE}/{name}/thumbnail") as answer:
                assert answer.status == status
