"""How jobs are kept: each with what its partitions said last, in the changelog-backed table of their home partition."""

from __future__ import annotations

from collections.abc import Iterator

import structlog

from watson.agents.job import Job
from watson.agents.owners import owned_key
from watson.agents.ports import Marks
from watson.errors import Refused
from watson.stages.discover import JobMark, Part

__all__ = ["JobTable"]

log = structlog.get_logger(__name__)


class JobTable:
    """Marks of jobs under ``job/NAME/OWNER``, their partitions' last words under ``part/NAME/PARTITION``.

    An owner of the home keeps a job under its own key, and then drops those of earlier owners. What one of these writes
    after that is there and is not looked at.
    """

    def __init__(self, marks: Marks) -> None:
        self._marks = marks
        self.unread: dict[str, tuple[int, Refused]] = {}
        """Home and why, of jobs that cannot be read: a newer Watson kept them."""

    def take(self, partition: int, owner: int) -> Iterator[Job]:
        """The jobs of a partition, as its last owner left them, for its owner of that number."""
        self.drop(partition)
        found: dict[str, list[tuple[bytes, bytes]]] = {}
        for key, value in sorted(self._marks.items(partition, b"job/")):
            found.setdefault(key.decode().split("/")[1], []).append((key, value))
        for name, kept in found.items():
            try:
                mark = JobMark.from_bytes(kept[-1][1])  # of the latest owner
            except Refused as refused:
                log.error("a job cannot be taken up", job=name, why=str(refused))  # noqa: TRY400 - the user's to mend
                self.unread[name] = (partition, refused)
                continue
            parts = {
                int(key.rpartition(b"/")[2]): Part.model_validate_json(value)
                for key, value in self._marks.items(partition, f"part/{name}/".encode())
            }
            yield Job(partition, owner, mark, older=tuple(key for key, _ in kept), parts=parts)

    def drop(self, partition: int) -> None:
        """Forget what could not be read of a partition."""
        self.unread = {name: unread for name, unread in self.unread.items() if unread[0] != partition}

    async def keep(self, job: Job) -> None:
        """Make a job's mark durable."""
        key = owned_key(f"job/{job.mark.manifest.job}", job.owner)
        await self._marks.put(job.home, key, job.mark.to_bytes())
        older, job.older = job.older, ()
        for other in older:
            if other != key:
                await self._marks.put(job.home, other, None)

    async def keep_part(self, job: Job, partition: int) -> None:
        """Make durable what a partition said last of a job."""
        key = f"part/{job.mark.manifest.job}/{partition}".encode()
        await self._marks.put(job.home, key, job.parts[partition].model_dump_json().encode())
