"""Pause, resume and cancel: asked on a page, done as the command does it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.web.forms import forms_of, send, text_of
from tests.web.log import Log
from tests.web.scene import Scene, site
from watson.events import Event

OFFERED = {
    "listing": {"pause", "cancel"},
    "draining": {"pause", "cancel"},
    "paused": {"resume", "cancel"},
    "complete": set(),
    "failed": set(),
    "cancelled": set(),
}


@pytest.mark.parametrize(("state", "offered"), OFFERED.items())
async def test_a_job_offers_what_can_be_done_with_it(scene: Scene, state: str, offered: set[str]) -> None:
    await scene.add_job("j", state)
    async with site(scene) as client:
        page = await (await client.get("/jobs/j")).text()
    assert {name for name in ("pause", "resume", "cancel") if f'href="/jobs/j/{name}"' in page} == offered


class Obedient(Log):
    """The job is in another state once it was told."""

    scene: Scene

    async def _publish(self, settings: Any, events: list[Event]) -> None:
        await super()._publish(settings, events)
        state = {"JobPaused": "paused", "JobResumed": "listing"}.get(type(events[0]).__name__, "cancelled")
        await self.scene.add_job("j", state, seconds=200)


@pytest.fixture
def obedient(monkeypatch: pytest.MonkeyPatch, scene: Scene) -> Obedient:
    log = Obedient(monkeypatch)
    log.scene = scene
    return log


@pytest.mark.parametrize(
    ("before", "name", "kind", "said"),
    [
        ("listing", "pause", "JobPaused", "Job j is paused."),
        ("paused", "resume", "JobResumed", "Resumed job j: it is listing."),
        ("listing", "cancel", "JobCancelled", "Cancelling job j."),
    ],
)
async def test_what_was_confirmed_is_sent_and_it_is_said_what_became_of_it(
    scene: Scene, obedient: Obedient, before: str, name: str, kind: str, said: str
) -> None:
    await scene.add_job("j", before)
    async with site(scene) as client:
        answer = await send(client, f"/jobs/j/{name}")
        assert answer.status == 200
        assert said in await text_of(answer)
    assert [type(event).__name__ for event in obedient.events] == [kind]


@pytest.mark.parametrize("retry", [True, False])
async def test_resuming_retries_unless_it_is_told_not_to(scene: Scene, obedient: Obedient, *, retry: bool) -> None:
    await scene.add_job("j", "paused")
    async with site(scene) as client:
        ((action, _, fields),) = await forms_of(client, "/jobs/j/resume")
        if not retry:
            del fields["retry"]
        headers = {"Origin": str(client._base_url).rstrip("/")}
        async with client.post(action, data=fields, headers=headers) as answer:
            assert answer.status == 200
    assert [event.retry for event in obedient.events] == [retry]


@pytest.mark.parametrize("name", ["pause", "resume", "cancel"])
async def test_a_job_that_has_ended_is_told_nothing(scene: Scene, log: Log, name: str) -> None:
    await scene.add_job("j", "complete")
    async with site(scene) as client:
        text = await text_of(await send(client, f"/jobs/j/{name}"))
        assert "Nothing was done" in text
        assert "it is complete" in text
        async with client.post(f"/api/v1/jobs/j/{name}", json={}) as answer:
            assert (await answer.json())["sent"] is False
    assert log.events == []


async def test_a_job_that_does_not_obey_in_time_is_said_to_follow(scene: Scene, log: Log) -> None:
    await scene.add_job("j", "listing")
    async with site(scene, web_timeout=0.6) as client:
        answer = await send(client, "/jobs/j/pause")
        assert answer.status == 503
        assert "do the discover and project workers run? It follows as soon as they do." in await text_of(answer)
    assert len(log.events) == 1


@pytest.mark.parametrize("name", ["pause", "resume", "cancel"])
async def test_of_a_job_that_there_is_not_nothing_can_be_asked(scene: Scene, log: Log, name: str) -> None:
    async with site(scene) as client:
        async with client.get(f"/jobs/none/{name}") as answer:
            assert answer.status == 404
        async with client.post(f"/api/v1/jobs/none/{name}", json={}) as answer:
            assert answer.status == 404


async def test_a_program_resumes_without_a_retry(scene: Scene, obedient: Obedient) -> None:
    await scene.add_job("j", "paused")
    async with site(scene) as client, client.post("/api/v1/jobs/j/resume", json={"retry": False}) as answer:
        assert await answer.json() == {"job": "j", "sent": True, "message": "resumed job j: it is listing"}
    assert [event.retry for event in obedient.events] == [False]
