"""What the consumer groups of the line have done and have to do, at one moment."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["GroupReading", "TopicLag", "Worker", "worker_name"]

_UUID_LENGTH = 36
_SHORT = 8


@dataclass(frozen=True, slots=True)
class Worker:
    """A live member of a group.

    ``host`` is where its connection comes from, empty where the broker does not say; ``partitions`` are those of the
    topics that its role consumes, None where the broker does not say.
    """

    name: str
    host: str
    partitions: tuple[int, ...] | None


@dataclass(frozen=True, slots=True)
class TopicLag:
    """How far a group is in a topic (name without prefix); each tuple has one number a partition, in order.

    ``ends`` are the log's next offsets; ``lags`` how many records before them are not committed.
    """

    topic: str
    ends: tuple[int, ...]
    lags: tuple[int, ...]

    @property
    def lag(self) -> int:
        """Records of all partitions that are not committed."""
        return sum(self.lags)

    @property
    def done(self) -> int:
        """Records committed, counted from offset 0: only its changes mean something."""
        return sum(self.ends) - self.lag


@dataclass(frozen=True, slots=True)
class GroupReading:
    """A role's consumer group. ``state`` is Kafka's word: Stable, PreparingRebalance, Empty or Dead."""

    role: str
    state: str
    workers: tuple[Worker, ...]
    topics: tuple[TopicLag, ...]

    @property
    def lag(self) -> int:
        """Records of all topics that wait for this role."""
        return sum(topic.lag for topic in self.topics)

    @property
    def done(self) -> int:
        """Grows by one with each record committed."""
        return sum(topic.done for topic in self.topics)

    @property
    def moves_partitions(self) -> bool:
        """Whether the group is in the middle of a rebalance."""
        return "Rebalance" in self.state


def worker_name(member_id: str, client_id: str) -> str:
    """What to call a member: its static name where it has one, else the beginning of its random id.

    Source: Kafka's GroupCoordinator makes a member's id of ``group.instance.id`` (static) or ``client.id``, a hyphen
    and a UUID.
    """
    stem, random = member_id[: -_UUID_LENGTH - 1], member_id[-_UUID_LENGTH:]
    if not stem or member_id[-_UUID_LENGTH - 1] != "-":
        return member_id
    return random[:_SHORT] if stem == client_id or not client_id else stem
