"""The whole line on this machine: a broker, and one process a role."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from watson.agents.topics import create_topics
from watson.embedded.broker import SETTINGS as BROKER_SETTINGS
from watson.embedded.broker import Broker, free_ports, running_broker
from watson.embedded.supervisor import Program, Supervisor
from watson.embedded.workplace import Workplace
from watson.settings import Settings, load_settings
from watson.storage.catalogue import Catalogue

__all__ = ["ROLES", "Line", "running_line"]

ROLES = ("web", "project", "catalogue", "segment", "preprocess", "discover")

_PARTITIONS = 4

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Line:
    """A running line. ``pages`` is where its pages are served once the web role has started."""

    settings: Settings
    broker: Broker
    roles: Supervisor
    pages: str

    async def during(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Do ``work`` while the line runs.

        Raises:
            ProgramFailed: the broker died, or a role again and again; the work is cancelled.
        """
        doing = asyncio.ensure_future(work)
        watching = [asyncio.ensure_future(watched.failed()) for watched in (self.broker, self.roles)]
        try:
            await asyncio.wait([doing, *watching], return_when=asyncio.FIRST_COMPLETED)
            if doing.done():
                return doing.result()
            for watch in watching:  # the broker first: without it the roles die as well
                if watch.done():
                    watch.result()
            raise AssertionError("failed() ended without a failure")
        finally:
            for task in (doing, *watching):
                task.cancel()
            await asyncio.gather(doing, *watching, return_exceptions=True)

    def kill(self) -> None:
        """End all processes now."""
        self.roles.kill()
        self.broker.kill()


@asynccontextmanager
async def running_line(
    workplace: Workplace,
    catalogue: Catalogue,
    *,
    say: Callable[[str], None],
    on_kill: Callable[[Callable[[], None]], None],
) -> AsyncIterator[Line]:
    """Start the line with an empty log and an empty catalogue, and stop it at the end.

    The broker's log is in memory, so what the stage tables and the catalogue say of an earlier one is dropped.
    What was computed is not: stages find their objects under content addresses.

    Args:
        workplace: where everything is.
        catalogue: migrated and open.
        say: told when a role died and starts again.
        on_kill: given what ends all processes at once, before the first one starts.

    Raises:
        ProgramFailed: the broker does not start.
    """
    await asyncio.to_thread(workplace.forget_state)
    await catalogue.wipe()
    async with running_broker(workplace.logs / "broker.log", lambda broker: on_kill(broker.kill)) as broker:
        variables = environment(workplace, broker.address)
        settings = load_settings(**{name.removeprefix("WATSON_").lower(): text for name, text in variables.items()})
        await create_topics(settings)
        async with Supervisor(on_death=say) as roles:
            ports = dict(zip(ROLES, free_ports(len(ROLES)), strict=True))
            line = Line(settings, broker, roles, pages=f"http://{settings.web_host}:{ports['web']}/")
            on_kill(line.kill)
            for role, port in ports.items():
                roles.start(_program(role, port, workplace, variables))
            yield line


def environment(workplace: Workplace, brokers: str = "") -> dict[str, str]:
    """The ``WATSON_*`` variables of a line. Others that the user set (device, batch size, S3 keys) hold as well."""
    root = workplace.root.resolve()
    cores = os.cpu_count() or 1
    mine = {
        "WATSON_BROKERS": brokers or "127.0.0.1:9092",
        "WATSON_TOPIC_PREFIX": "",
        "WATSON_PARTITIONS": str(_PARTITIONS),
        "WATSON_OBJECTS": f"file:{root / workplace.objects.name}",
        "WATSON_CATALOGUE": f"sqlite:{root / workplace.catalogue.name}",
        "WATSON_MODELS_DIR": str(root / workplace.models.name),
        "WATSON_TABLE_STORE": "rocksdb",
        "WATSON_STATE_DIR": str(root / workplace.state.name),
        "WATSON_WEB_HOST": "127.0.0.1",
        **BROKER_SETTINGS,
    }
    # Half the cores for the model, the rest for decoding and the roles' own loops.
    wished = {"WATSON_TORCH_THREADS": str(max(1, cores // 2)), "WATSON_THREADS": str(min(8, cores))}
    return mine | {name: os.environ.get(name, text) for name, text in wished.items()}


def _program(role: str, port: int, workplace: Workplace, variables: dict[str, str]) -> Program:
    own = {
        "WATSON_STATE_DIR": str(workplace.state.resolve() / role),
        "WATSON_WEB_PORT": str(port),
        "PYTHONUNBUFFERED": "1",
    }
    return Program(
        name=role,
        command=(sys.executable, "-m", "watson", "worker", role),
        log=workplace.logs / f"{role}.log",
        environment=variables | own,
    )
