"""A worker for fault tests: copies numbered messages from one topic to another; emit, mark, acknowledge, out of order.

Run as a module with the role's settings in the environment. Each message that it has seen before is emitted again and
not marked again, as the stages do. Work takes WORK_MS milliseconds.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import sys
from typing import Any

from watson.agents.transport import PartitionRevoked, TransportApp, run
from watson.settings import load_settings

ROLE, SOURCE, TARGET = "segment", "preprocessed", "segmented"


def build() -> TransportApp:
    settings = load_settings()
    app = TransportApp(ROLE, settings)
    marks = app.mark_table("marks", source=SOURCE)
    work = float(os.environ.get("WORK_MS", "2")) / 1000
    window = asyncio.Semaphore(16)

    @app.on_partitions_ready
    async def ready(assigned: set[int], revoked: set[int]) -> None:
        counts = {partition: sum(1 for _ in marks.items(partition)) for partition in assigned}
        print(f"ready {sorted(assigned)} lost {sorted(revoked)} marks {counts}", flush=True)  # noqa: T201 - read by tests

    async def copy(event: Any) -> None:
        message = event.message
        try:
            await asyncio.sleep(work * random.uniform(0.1, 2))
            mark = marks.get(message.partition, message.value)
            await app.emit(settings.topic(TARGET), message.key, message.value, [("copied", b"1")], message.partition)
            if mark is None:
                await marks.put(message.partition, message.value, b"done")
            event.ack()
        except PartitionRevoked:
            pass
        finally:
            window.release()

    @app.agent(app.topic(settings.topic(SOURCE), key_type=bytes, value_type=bytes, value_serializer="raw"))
    async def consume(stream: Any) -> None:
        tasks: set[asyncio.Task[None]] = set()
        async for event in stream.noack().events():
            await window.acquire()
            task = asyncio.create_task(copy(event))
            tasks.add(task)
            task.add_done_callback(lambda done: (tasks.discard(done), done.cancelled() or done.result()))

    return app


if __name__ == "__main__":
    logging.basicConfig(level="INFO", format="%(asctime)s %(levelname)s %(name)s %(message)s")
    sys.exit(run(build(), load_settings()))
