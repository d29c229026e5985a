"""Hands a job to the cluster."""

from __future__ import annotations

from watson.actions.manifest import make_manifest
from watson.actions.sending import send
from watson.agents.models import choose, registered_models
from watson.agents.topics import verify_topics
from watson.events import JobOptions, ManifestSubmitted, ModelRegistered, Source
from watson.model.registry import is_built_in
from watson.settings import Settings

__all__ = ["resolved", "submit"]


async def submit(
    settings: Settings, source: Source, dataset: str, job: str | None, model: str, options: JobOptions
) -> ManifestSubmitted:
    """Send a manifest to the workers, who do the rest; returns it.

    Raises:
        UserError: a name is not acceptable, or a topic is missing.
        Refused: there is no such model.
        BrokerUnavailable: no broker answers. Nothing was sent.
    """
    make_manifest(source, dataset, job, model, options)  # what is wrong with it is said without a broker
    manifest = make_manifest(source, dataset, job, await resolved(settings, model), options)
    await send(settings, manifest)
    return manifest


async def resolved(settings: Settings, model: str) -> str:
    """The version that the name of a registered model means now: the job runs that one, whatever is registered later.

    The version of a model that Watson brings is that of the workers' code, which nobody else knows: it stays as it is.

    Raises:
        Refused: there is no such model.
        BrokerUnavailable: no broker answers.
    """
    if is_built_in(model):
        return model
    await verify_topics(settings, [settings.topic(ModelRegistered.topic)])
    return choose(model, await registered_models(settings)).key
