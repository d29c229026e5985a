from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import ClientResponse, ClientSession

from tests.services.places import free_port
from tests.web.scene import NO_BROKER, Scene, plain_app, site
from watson.errors import Retriable
from watson.settings import Settings
from watson.web import stream as module
from watson.web.site import mount_site

PATHS = ["/api/v1/stream", "/api/v1/jobs/j/stream"]


class Reader:
    """Takes a stream of events apart."""

    def __init__(self, answer: ClientResponse) -> None:
        self.answer = answer

    async def block(self) -> list[str]:
        """The lines up to the next empty one; none at the end."""
        lines: list[str] = []
        async with asyncio.timeout(20):
            while (line := await self.answer.content.readline()) not in (b"\n", b""):
                lines.append(line.decode().removesuffix("\n"))
        return lines

    async def event(self) -> tuple[str, dict[str, Any]]:
        """The next event and its document; comments and the like are passed over."""
        while lines := await self.block():
            fields = dict(line.split(": ", 1) for line in lines)
            if "event" in fields:
                return fields["event"], json.loads(fields["data"])
        raise EOFError

    async def end(self) -> None:
        """Read up to it."""
        while await self.block():
            pass


@asynccontextmanager
async def stream(client: ClientSession, path: str) -> AsyncIterator[Reader]:
    async with client.get(path) as answer:
        assert answer.status == 200, await answer.text()
        assert answer.content_type == "text/event-stream"
        yield Reader(answer)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PERIOD_SECONDS", 0.05)
    monkeypatch.setattr(module, "_FRESH_SECONDS", 0.01)


@pytest.mark.parametrize(("path", "same"), [(PATHS[0], "/api/v1/jobs"), (PATHS[1], "/api/v1/jobs/j")])
async def test_a_stream_begins_with_the_present_state_which_is_the_apis(scene: Scene, path: str, same: str) -> None:
    await scene.add_job("j", discovered=3, catalogued=2)
    async with site(scene) as client:
        async with stream(client, path) as reader:
            assert await reader.block() == ["retry: 3000"]
            event, said = await reader.event()
        async with client.get(same) as answer:
            asked = await answer.json()
    assert event == "progress"
    assert said["flow"]["stages"] == []
    assert (said.get("job") or said["jobs"][0])["counts"] == (asked.get("jobs") or [asked])[0]["counts"]


@pytest.mark.parametrize("path", PATHS)
async def test_what_changes_is_said(scene: Scene, path: str) -> None:
    await scene.add_job("j", "draining", discovered=3, catalogued=2)
    async with site(scene) as client, stream(client, path) as reader:
        await reader.event()
        await scene.add_job("j", "complete", seconds=101, discovered=3, catalogued=3)
        async with asyncio.timeout(20):
            while True:
                _, said = await reader.event()
                job = said.get("job") or said["jobs"][0]
                if (job["state"], job["counts"]["catalogued"]) == ("complete", 3):
                    break


async def test_where_nothing_changes_nothing_is_said_but_a_comment_now_and_then(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_HEARTBEAT_SECONDS", 0.3)
    await scene.add_job("j", "paused", discovered=3)  # its clock goes on
    async with site(scene) as client, stream(client, "/api/v1/jobs/j/stream") as reader:
        async with asyncio.timeout(20):  # the first ones may tell of Kafka, which is found to be away
            while await reader.block() != [": no news"]:
                pass
        assert [await reader.block() for _ in range(3)] == [[": no news"]] * 3


async def test_a_stream_of_no_job_is_an_ordinary_404(scene: Scene) -> None:
    async with site(scene) as client, client.get("/api/v1/jobs/none/stream") as answer:
        assert answer.status == 404
        assert "no job named" in (await answer.json())["error"]


async def test_no_time_limit_of_answers_ends_a_stream(scene: Scene) -> None:
    await scene.add_job("j", discovered=1)
    async with site(scene, web_timeout=0.2) as client, stream(client, "/api/v1/stream") as reader:
        await reader.event()
        await asyncio.sleep(0.6)
        await scene.add_job("j", seconds=101, discovered=2)
        async with asyncio.timeout(20):
            while (await reader.event())[1]["jobs"][0]["counts"]["discovered"] != 2:
                pass


async def test_a_stream_ends_by_itself_after_its_time(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LONGEST_SECONDS", 0.3)
    async with site(scene) as client, stream(client, "/api/v1/stream") as reader:
        await reader.end()


async def test_one_stream_too_many_is_refused_and_a_closed_one_makes_room(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_STREAMS", 2)
    async with site(scene) as client:
        async with stream(client, "/api/v1/stream"), stream(client, "/api/v1/stream"):
            async with client.get("/api/v1/stream") as answer:
                assert answer.status == 503
                assert answer.headers["Retry-After"]
                assert "streams are open" in (await answer.json())["error"]
            async with client.get("/api/v1/jobs") as answer:
                assert answer.status == 200
        async with asyncio.timeout(20):
            while True:
                async with client.get("/api/v1/stream") as answer:
                    if answer.status == 200:
                        break
                await asyncio.sleep(0.05)


async def test_streams_end_at_once_when_the_server_stops(scene: Scene) -> None:
    await scene.add_job("j", discovered=1)
    settings = Settings(web_port=free_port(), brokers=NO_BROKER)
    app = plain_app(settings)
    mount_site(app, scene.catalogue, scene.objects, settings)
    app.web.init_server()
    await app.web.start_server()
    server = f"http://127.0.0.1:{settings.web_port}"
    async with ClientSession(server) as client, stream(client, "/api/v1/stream") as reader:
        await reader.event()
        began = time.monotonic()
        await app.web.stop_server()  # would wait a minute for handlers that go on
        assert time.monotonic() - began < 20
        await reader.end()


async def test_a_catalogue_that_goes_away_is_trouble_until_it_is_back(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    await scene.add_job("j", discovered=1)
    ask = scene.catalogue.jobs
    away = False

    async def jobs() -> Any:
        if away:
            raise Retriable("the database does not answer")
        return await ask()

    monkeypatch.setattr(scene.catalogue, "jobs", jobs)
    async with site(scene) as client, stream(client, "/api/v1/stream") as reader:
        await reader.event()
        away = True
        async with asyncio.timeout(20):
            while (said := await reader.event())[0] != "trouble":
                pass
        assert said[1] == {"error": "the database does not answer"}
        away = False
        async with asyncio.timeout(20):
            while (await reader.event())[0] != "progress":
                pass


async def test_a_defect_ends_the_stream_and_not_the_server(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    await scene.add_job("j", discovered=1)
    ask, defect = scene.catalogue.job, False

    async def job(name: str) -> Any:
        if defect:
            raise KeyError(name)
        return await ask(name)

    monkeypatch.setattr(scene.catalogue, "job", job)
    async with site(scene) as client, stream(client, "/api/v1/jobs/j/stream") as reader:
        await reader.event()
        defect = True
        await reader.end()
        async with client.get("/api/v1/jobs") as answer:
            assert answer.status == 200


async def test_head_of_a_stream_ends(scene: Scene) -> None:
    async with asyncio.timeout(20):
        async with site(scene) as client, client.head("/api/v1/stream") as answer:
            assert answer.status == 200
            assert answer.content_type == "text/event-stream"


async def test_a_message_of_several_lines_stays_one_event(scene: Scene) -> None:
    changed = await scene.add_job("j", "paused", discovered=1)
    later = {"time": changed.time + timedelta(seconds=1), "message": "one\n\nevent: forged\ndata: {}"}
    await scene.catalogue.put_job(changed.model_copy(update=later))
    async with site(scene) as client, stream(client, "/api/v1/jobs/j/stream") as reader:
        event, said = await reader.event()
    assert (event, said["job"]["message"]) == ("progress", later["message"])
