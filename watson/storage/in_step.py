"""The images of several jobs, side by side: all walk by image key, so what each says of a picture comes together."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, aclosing

from watson.errors import WatsonError
from watson.events import ImageCatalogued
from watson.storage.catalogue import Catalogue

__all__ = ["images_in_step", "images_of"]

_PAGE = 500


async def images_of(catalogue: Catalogue, job: str) -> AsyncGenerator[ImageCatalogued]:
    """Every catalogued image of a job, by image key. One page is in memory at a time.

    Raises:
        Retriable: the catalogue is unavailable.
        WatsonError: it does not keep its order, so that nothing can be said of what is missing.
    """
    cursor: str | None = None
    last = b""
    while True:
        page = await catalogue.images(job, after=cursor, limit=_PAGE)
        for event in page.items:
            if event.image_key.bytes <= last:
                raise WatsonError(f"the catalogue lists the images of job {job} out of order at {event.image_key}")
            last = event.image_key.bytes
            yield event
        if (cursor := page.cursor) is None:
            return


async def images_in_step(jobs: Sequence[tuple[Catalogue, str]]) -> AsyncGenerator[tuple[ImageCatalogued | None, ...]]:
    """Each picture that any of the jobs has, by image key, once: what each job says of it, None where it has it not.

    Memory is one page a job, however many images there are.

    Args:
        jobs: each with the catalogue that it is in, which is open.

    Raises:
        Retriable, WatsonError: as `images_of`.
    """
    async with AsyncExitStack() as stack:
        walks = [await stack.enter_async_context(aclosing(images_of(catalogue, job))) for catalogue, job in jobs]
        heads = [await anext(walk, None) for walk in walks]
        while keys := [head.image_key.bytes for head in heads if head is not None]:
            least = min(keys)
            row = tuple(head if head is not None and head.image_key.bytes == least else None for head in heads)
            yield row
            for place, event in enumerate(row):
                if event is not None:
                    heads[place] = await anext(walks[place], None)
