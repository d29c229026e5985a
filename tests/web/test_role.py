from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientError, ClientSession

from tests.services.places import free_port
from tests.web.scene import open_scene
from watson.agents.topics import create_topics
from watson.errors import UserError
from watson.settings import Settings
from watson.web.role import build_web_app


def settings_in(directory: Path, **changes: Any) -> Settings:
    return Settings(
        **{
            "catalogue": f"sqlite:{directory}/catalogue.db",
            "objects": f"file:{directory}/objects",
            "state_dir": directory / "state",
            "web_port": free_port(),
            **changes,
        }
    )


async def test_the_role_has_health_pages_and_api_and_is_bound_as_the_settings_say(tmp_path: Path) -> None:
    app = build_web_app(settings_in(tmp_path, web_host="127.0.0.1"))
    assert app.conf.web_bind == "127.0.0.1"
    paths = {resource.canonical for resource in app.web.web_app.router.resources()}
    assert {"/", "/health/live", "/health/ready", "/metrics", "/api/v1/jobs", "/static"} <= paths


async def test_a_catalogue_that_cannot_be_is_a_users_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="WATSON_CATALOGUE"):
        build_web_app(settings_in(tmp_path, catalogue="mongo:nothing"))


@pytest.mark.services
@pytest.mark.slow
async def test_the_worker_serves_the_site_on_the_loopback_address(
    tmp_path: Path, kafka: Any, topic_prefix: str
) -> None:
    settings = settings_in(tmp_path, brokers=kafka.brokers, topic_prefix=topic_prefix, partitions=2)
    await create_topics(settings)
    async with open_scene(tmp_path) as scene:
        await scene.add_job("j", discovered=3)
    worker = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "watson", "worker", "web", env={**os.environ, **environment(settings)}
    )
    try:
        async with ClientSession(f"http://127.0.0.1:{settings.web_port}") as client:
            health = await until_ready(client)
            assert health["role"] == "web"
            async with client.get("/jobs/j") as answer:
                assert answer.status == 200
            async with client.get("/table/") as answer:
                assert answer.status == 404
            async with client.get("/metrics") as answer:
                assert b"watson_build_info" in await answer.read()
        assert listening_addresses(settings.web_port) == {"0100007F"}  # 127.0.0.1, as the kernel writes it
        worker.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(worker.wait(), 30) == 0
    finally:
        if worker.returncode is None:
            worker.kill()
            await worker.wait()


def environment(settings: Settings) -> dict[str, str]:
    names = ("catalogue", "objects", "state_dir", "web_port", "brokers", "topic_prefix", "partitions")
    return {f"WATSON_{name.upper()}": str(getattr(settings, name)) for name in names}


async def until_ready(client: ClientSession) -> dict[str, Any]:
    async with asyncio.timeout(60):
        while True:
            try:
                async with client.get("/health/ready") as answer:
                    if answer.status == 200:
                        return await answer.json()
            except ClientError:
                pass  # not listening yet; the deadline above ends the waiting
            await asyncio.sleep(0.1)


def listening_addresses(port: int) -> set[str]:
    """Source: proc_net_tcp(5): local address and port in hexadecimal, state 0A is LISTEN."""
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            local, state = line.split()[1], line.split()[3]
            address, _, number = local.partition(":")
            if state == "0A" and int(number, 16) == port:
                found.add(address)
    return found
