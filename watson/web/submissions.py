"""Checks what somebody wants of a job as ``watson submit`` does, looks at the source, and sends it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import MappingProxyType

from watson.actions.look import Looked, look, reachable_source
from watson.actions.manifest import Unacceptable, check_names, make_manifest
from watson.actions.sending import send
from watson.actions.submit import resolved
from watson.errors import Refused, Retriable, ServiceUnavailable, UserError
from watson.events import ManifestSubmitted, ModelRegistered, Source
from watson.model import registry
from watson.settings import Settings
from watson.web.answers import JobAsked
from watson.web.queries import Queries

__all__ = ["MOST_COUNTED", "Checked", "Submissions"]

MOST_COUNTED = 10_000
"""Pictures of a source that are counted before it says "more than"."""

_LOOK_SECONDS = 5.0
_LOOKS_AT_ONCE = 2


@dataclass(slots=True)
class Checked:
    """What became of it.

    Attributes:
        problems: what is wrong, by field; under the empty name what is wrong with no field.
        manifest: that would be sent; None where something is wrong.
        looked: what the source lists; None where it could not be opened.
        known: whether there is that very job already.
    """

    problems: dict[str, str] = field(default_factory=dict)
    manifest: ManifestSubmitted | None = None
    looked: Looked | None = None
    known: bool = False

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Take down what is unacceptable, and go on."""
        try:
            yield
        except Unacceptable as exc:
            self.problems.update(exc.problems)


class Submissions:
    """Checks what is asked for, and sends it."""

    def __init__(self, settings: Settings, queries: Queries) -> None:
        self._settings = settings
        self._queries = queries
        self._looks = asyncio.Semaphore(_LOOKS_AT_ONCE)

    async def check(self, wanted: JobAsked, problems: Mapping[str, str] = MappingProxyType({})) -> Checked:
        """All that is wrong with it, at once; ``problems`` are known already."""
        checked = Checked(dict(problems))
        source = await self._source(wanted, checked)
        with checked.noting():
            check_names(dataset=wanted.dataset, **({} if wanted.job is None else {"job": wanted.job}))
        checked.looked, model = await asyncio.gather(self._look(source, checked), self._resolved(wanted.model, checked))
        if source is not None and model is not None and not checked.problems:
            with checked.noting():
                checked.manifest = make_manifest(source, wanted.dataset, wanted.job, model, wanted.options)
                checked.known = await self._queries.is_job(checked.manifest.job)
        return checked

    async def send(self, manifest: ManifestSubmitted) -> None:
        """Hand a checked job to the workers."""
        await send(self._settings, manifest)

    async def look(self, source: Source) -> Looked:
        """Count what a source lists; raises as `watson.actions.look.look`."""
        seconds = min(_LOOK_SECONDS, self._settings.web_timeout / 3)
        return await look(self._settings, source, most=MOST_COUNTED, seconds=seconds, turn=self._looks)

    async def reachable(self, text: str, kind: str | None, template: str | None) -> Source:
        """The source that is meant; raises as `watson.actions.look.reachable_source`."""
        return await reachable_source(self._settings, text, kind, template)

    async def models(self) -> list[tuple[str, str]]:
        """The models that a job can name: reference, and a few words; those that Watson brings come first."""
        registered = [event for event, _ in await self._queries.models() if not registry.is_built_in(event.name)]
        newest_first = sorted(registered, key=lambda event: event.time, reverse=True)
        return [(name, "comes with Watson") for name in registry.public_names()] + [
            (event.key, _described(event)) for event in newest_first
        ]

    async def _source(self, wanted: JobAsked, checked: Checked) -> Source | None:
        with checked.noting():
            return await self.reachable(wanted.source, wanted.kind, wanted.template)
        return None

    async def _look(self, source: Source | None, checked: Checked) -> Looked | None:
        try:
            with checked.noting():
                return None if source is None else await self.look(source)
        except (Retriable, Refused) as exc:
            checked.problems["source"] = str(exc)
        return None

    async def _resolved(self, model: str, checked: Checked) -> str | None:
        try:
            return await resolved(self._settings, model)
        except Refused as exc:
            checked.problems["model"] = str(exc)
        except ServiceUnavailable as exc:
            checked.problems[""] = f"Nothing can be sent: {exc}"
        except UserError as exc:
            checked.problems[""] = str(exc)
        return None


def _described(event: ModelRegistered) -> str:
    categories = f"{len(event.categories)} categories" if event.categories else event.model_kind
    return f"{categories}, registered {event.time:%Y-%m-%d}"
