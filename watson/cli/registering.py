"""What `models add`, `train` and `evaluate` have in common: a model file becomes a registered model, a name a model."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from watson.cli.session import command_settings, in_loop, open_objects
from watson.errors import BrokerUnavailable
from watson.events import ModelRegistered

if TYPE_CHECKING:
    from watson.model.description import ModelDescription
    from watson.model.preparing import ReadyModel
    from watson.model.segmenter import Segmenter
    from watson.settings import Settings

__all__ = ["ready_model", "register_description", "segmenter_named"]


@contextmanager
def ready_model(description: ModelDescription) -> Iterator[ReadyModel]:
    """A model, checked and ready to be registered; its files live as long as the context.

    Raises:
        UserError: whatever is wrong with it.
    """
    from watson.model.preparing import prepare  # noqa: PLC0415 - needed here alone

    with tempfile.TemporaryDirectory(prefix="watson-model-") as folder:
        with Console(stderr=True, emoji=False).status(f"checking {description.name}"):
            ready = prepare(description, Path(folder))
        yield ready


def register_description(description: ModelDescription) -> ModelRegistered:
    """Check a model, keep it in the object store, and make it known.

    Raises:
        UserError: whatever is wrong with it; the topics are missing.
        BrokerUnavailable, Retriable: a service is away; nothing was made known.
    """
    from watson.agents.register_model import register_model  # noqa: PLC0415 - aiokafka only where it is used

    async def keep(ready: ReadyModel) -> ModelRegistered:
        settings = command_settings()
        async with open_objects(settings) as objects:
            return await register_model(ready, objects, settings)

    with (
        ready_model(description) as ready,
        Console(stderr=True, emoji=False).status(f"keeping {ready.card.weights_size / 1e6:.1f} MB of weights"),
    ):
        return in_loop(keep(ready))


def segmenter_named(text: str, stack: ExitStack) -> Segmenter:
    """A model, ready: by the folder or file that describes it, by a name that Watson brings, or by a registered one.

    Args:
        text: what the user said.
        stack: holds files that live as long as the model.

    Raises:
        UserError, Refused: there is no such model, or it cannot be used here.
        BrokerUnavailable, Retriable: a service is away that knows registered models.
    """
    from watson.model.description import read_description  # noqa: PLC0415 - needed here alone
    from watson.model.registry import is_built_in, load  # noqa: PLC0415 - see above

    settings, path = command_settings(), Path(text)
    if path.is_file() or (path / "model.json").is_file():
        description = read_description(path / "model.json" if path.is_dir() else path)
        ready = stack.enter_context(ready_model(description))
        return ready.card.load(ready.weights, device=settings.device, torch_threads=settings.torch_threads)
    if is_built_in(text):
        return load(text, device=settings.device, torch_threads=settings.torch_threads)
    try:
        return in_loop(_registered(settings, text))
    except BrokerUnavailable as exc:
        raise BrokerUnavailable(
            f"{text!r} is no folder or file of a model, and none that Watson brings; those registered "
            f"are in the log, but {exc}"
        ) from exc


async def _registered(settings: Settings, reference: str) -> Segmenter:
    from watson.agents.models import choose, registered_models  # noqa: PLC0415 - aiokafka only where it is used
    from watson.model.shelf import ModelShelf  # noqa: PLC0415 - see above

    model = choose(reference, await registered_models(settings)).key
    async with open_objects(settings) as objects:
        return await ModelShelf(objects, settings).load(model)
