"""What the pages send, on a real broker: byte for byte what the commands send."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.web.forms import send, text_of
from tests.web.scene import Scene, site
from watson.actions.manifest import make_manifest, source_of
from watson.agents.replay import replay
from watson.agents.topics import create_topics
from watson.errors import ReasonCode
from watson.events import DEFAULT_MODEL, JobOptions, ManifestSubmitted, decode
from watson.settings import Settings

pytestmark = pytest.mark.services


@pytest.fixture
async def place(kafka: Any, topic_prefix: str) -> dict[str, Any]:
    """Settings of a broker with Watson's topics."""
    where = {"brokers": kafka.brokers, "topic_prefix": topic_prefix, "partitions": 4}
    await create_topics(Settings(**where))
    return where


async def records(place: dict[str, Any], topic: str) -> list[Any]:
    return [record async for record in replay(Settings(**place), [topic])]


async def test_a_form_sends_the_manifest_that_the_command_would_send(
    scene: Scene, place: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "photographs").mkdir()
    async with site(scene, **place) as client:
        answer = await send(client, "/submit", source=str(tmp_path / "photographs"), dataset="street", do="submit")
        assert answer.status == 303
    (event,) = [decode(record) for record in await records(place, "manifests")]
    expected = make_manifest(source_of(str(tmp_path / "photographs")), "street", None, DEFAULT_MODEL, JobOptions())
    assert isinstance(event, ManifestSubmitted)
    assert event.model_dump(exclude={"time"}) == expected.model_dump(exclude={"time"})


async def test_a_job_that_is_cancelled_is_told_so(scene: Scene, place: dict[str, Any]) -> None:
    await scene.add_job("j", "listing")
    async with site(scene, **place) as client:
        assert "Cancelling job j." in await text_of(await send(client, "/jobs/j/cancel"))
    (event,) = [decode(record) for record in await records(place, "manifests")]
    assert type(event).__name__ == "JobCancelled"


async def test_a_letter_is_sent_byte_for_byte_to_where_it_failed(scene: Scene, place: dict[str, Any]) -> None:
    await scene.add_job("j", quarantined=1)
    away = ReasonCode.STORE_UNAVAILABLE
    await scene.add_dead_letter("j", "file:///a.jpg", reason=away, value=b"\x00\xff", topic="segmented")
    async with site(scene, **place) as client:
        answer = await send(client, "/jobs/j/dead-letters", to="/jobs/j/dead-letters/retry")
        assert "Sent 1 again." in await text_of(answer)
    (record,) = await records(place, "segmented")
    assert (record.partition, record.key, record.value) == (3, b"k\xff", b"\x00\xff")
    assert dict(record.headers) == {"redrive": b"retry", "first-offset": b"7"}


async def test_a_model_that_nobody_registered_is_refused_at_its_field(
    scene: Scene, place: dict[str, Any], tmp_path: Path
) -> None:
    async with site(scene, **place) as client:
        answer = await send(client, "/submit", source=str(tmp_path), dataset="street", model="nobody", do="submit")
        assert answer.status == 422
        assert "There is no model 'nobody'" in await text_of(answer)
    assert await records(place, "manifests") == []
