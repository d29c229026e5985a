"""What the log says of one job."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID

from watson.agents.models import standing
from watson.agents.replay import replay_events
from watson.agents.topics import verify_topics
from watson.events import (
    CHAIN,
    REDRIVE,
    REPAIR,
    TOPICS,
    Event,
    ImageCatalogued,
    ImageDiscovered,
    ImagePreprocessed,
    ImageQuarantined,
    ImageSegmented,
    JobChanged,
    ManifestSubmitted,
    ModelRegistered,
    ModelWithdrawn,
)
from watson.settings import Settings

__all__ = ["JobLog", "read_log"]


@dataclass(slots=True)
class JobLog:
    """One job's events, as far as an audit needs them.

    Attributes:
        job: its id.
        manifest: the newest of those that say the same as the first.
        changed: the newest state.
        seen: images by topic, and ``quarantined``.
        uris: of the originals.
        catalogued: the newest event of each image.
        letters: the newest of each id (one an image and stage).
        references: models that images of this job name, ``name@version``.
        said_of_models: registrations and withdrawals of whatever model.
    """

    job: str
    manifest: ManifestSubmitted | None = None
    changed: JobChanged | None = None
    seen: dict[str, set[UUID]] = field(default_factory=lambda: {name: set() for name in (*CHAIN, "quarantined")})
    uris: dict[UUID, str] = field(default_factory=dict)
    catalogued: dict[UUID, ImageCatalogued] = field(default_factory=dict)
    letters: dict[UUID, ImageQuarantined] = field(default_factory=dict)
    references: set[str] = field(default_factory=set)
    said_of_models: list[Event] = field(default_factory=list)

    @property
    def models(self) -> dict[str, ModelRegistered]:
        """All that are registered and were not withdrawn, by reference."""
        return standing(self.said_of_models)

    @property
    def quarantined(self) -> set[UUID]:
        """Images that ended in the dead letters: one that was catalogued after all did not."""
        return self.seen["quarantined"] - self.seen["catalogued"]

    def failed_repairs(self) -> dict[UUID, ImageQuarantined]:
        """The newest letter of each image that a repair left, and that nothing followed."""
        failed: dict[UUID, ImageQuarantined] = {}
        for letter in sorted(self.letters.values(), key=lambda letter: letter.time):
            if letter.image_key is None or (REDRIVE, REPAIR.encode()) not in letter.failed.headers:
                continue
            end = self.catalogued.get(letter.image_key)
            if end is None or end.time < letter.time:
                failed[letter.image_key] = letter
        return failed

    def take(self, event: Event) -> None:
        """Take note of one event of whatever job."""
        if isinstance(event, ModelRegistered | ModelWithdrawn):
            self.said_of_models.append(event)
        elif getattr(event, "job", None) == self.job:
            self._take(event)

    def _take(self, event: Event) -> None:
        match event:
            case ManifestSubmitted():
                self._take_manifest(event)
            case JobChanged():
                if self.changed is None or event.time >= self.changed.time:
                    self.changed = event
            case ImageDiscovered():
                self.seen["image-discovered"].add(event.image_key)
                self.uris[event.image_key] = event.original.uri
                self.references.add(event.model)
            case ImagePreprocessed() | ImageSegmented():
                self.seen[event.topic].add(event.image_key)
            case ImageCatalogued():
                self.seen["catalogued"].add(event.image_key)
                before = self.catalogued.get(event.image_key)
                if before is None or event.time >= before.time:
                    self.catalogued[event.image_key] = event
            case ImageQuarantined() if event.image_key is not None:
                self.seen["quarantined"].add(event.image_key)
                kept = self.letters.get(event.id)
                if kept is None or event.time >= kept.time:
                    self.letters[event.id] = event
            case _:
                pass

    def _take_manifest(self, event: ManifestSubmitted) -> None:
        known = self.manifest
        if known is None or (event.time > known.time and event.model_copy(update={"time": known.time}) == known):
            self.manifest = event


async def read_log(job: str, settings: Settings) -> JobLog:
    """Read all topics to their present end.

    Raises:
        BrokerUnavailable: no broker answers.
        UserError: the log cannot be read, or the topics are not as the settings say.
    """
    log = JobLog(job)
    await verify_topics(settings, map(settings.topic, TOPICS))
    async for event in replay_events(settings, list(TOPICS)):
        log.take(event)
    return log
