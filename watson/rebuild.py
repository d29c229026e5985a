"""``watson project rebuild``: drops the projection and makes it anew from the log."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from watson.agents.replay import replay
from watson.agents.topics import verify_topics
from watson.errors import Refused
from watson.events import TOPICS, decode, now
from watson.settings import Settings
from watson.stages.project import Projector
from watson.storage.catalogue import Catalogue

__all__ = ["rebuild"]


class _MemoryMarks:
    """Marks of one partition at a time: as many as that partition has images and stages."""

    def __init__(self) -> None:
        self._marks: dict[bytes, bytes] = {}

    def get(self, partition: int, key: bytes) -> bytes | None:  # noqa: ARG002 - one partition at a time
        return self._marks.get(key)

    async def put(self, partition: int, key: bytes, value: bytes | None) -> None:  # noqa: ARG002
        if value is None:
            self._marks.pop(key, None)
        else:
            self._marks[key] = value

    def items(self, partition: int, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:  # noqa: ARG002
        return ((key, value) for key, value in self._marks.items() if key.startswith(prefix))


async def rebuild(
    settings: Settings, catalogue: Catalogue, on_progress: Callable[[int, int], None] = lambda _part, _events: None
) -> int:
    """Empty the catalogue and apply the whole log to it; returns the number of events applied.

    Nothing is emptied before the broker has shown all topics with the right number of partitions.

    A ``project`` worker may run meanwhile: both write the same rows, and its counts, which are newer, win. Records that
    cannot be decoded are passed over here: their dead letters are in the log themselves.

    Args:
        settings: where the broker is.
        catalogue: open.
        on_progress: called now and then with the partition and the number of events so far.

    Raises:
        BrokerUnavailable: no broker answers.
        UserError: the log cannot be read, or the topics are not as the settings say.
        Retriable: the catalogue is away.
    """
    await verify_topics(settings, [settings.topic(name) for name in TOPICS])
    await catalogue.wipe()
    applied = 0
    for partition in range(settings.partitions):
        projector = Projector(catalogue, _MemoryMarks())
        await projector.assign(partition)
        since = now()  # what a worker counts from here on is newer than what is counted here
        async for record in replay(settings, list(TOPICS), partition):
            try:
                event = decode(record)
            except Refused:
                continue
            await projector.apply(record, event)
            applied += 1
            if applied % 1000 == 0:
                on_progress(partition, applied)
        await projector.flush(at=since)
        on_progress(partition, applied)
    return applied
