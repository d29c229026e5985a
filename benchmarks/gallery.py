"""``python -m benchmarks.gallery``: how long a page of the gallery takes, and whether the server's memory stays flat.

The rows are generated and written by the projection's own calls; there are no pictures behind them, for pages ask for
none. The server is a process of its own. Without ``--catalogue`` it is an SQLite file in a temporary directory.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html import unescape
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

from aiohttp import ClientSession

from tests.services.places import free_port
from tests.web.scene import plain_app, serving
from watson.events import (
    ImageCatalogued,
    JobChanged,
    JobOptions,
    MaskRecord,
    Normalised,
    Original,
    Source,
    image_key,
    mask_id,
    segmentation_id,
)
from watson.settings import Settings
from watson.storage.catalogue import StageCount
from watson.storage.connect_catalogue import catalogue
from watson.storage.connect_objects import object_store
from watson.web.site import mount_site

JOB = "generated"
START = datetime(2026, 3, 14, tzinfo=UTC)
SHA = "0123456789abcdef" * 4
CATEGORIES = tuple(f"category-{number:03}" for number in range(400))
AT_ONCE = 512
PAGES = 500
REPEATS = 15
QUESTIONS = {
    "by key": "",
    "most uncertain first": "order=uncertainty",
    "a common category": "category=category-000",
    "a common category, most uncertain": "category=category-000&order=uncertainty",
    "a rare category": "category=category-200",
    "a rare category, most uncertain": "category=category-200&order=uncertainty",
    "three categories, score and area": "category=category-000&category=category-003&category=category-200"
    "&least_score=0.5&least_area=0.1",
    "score 0.6-0.7": "least_score=0.6&most_score=0.7",
    "score 0.6-0.7, most uncertain": "least_score=0.6&most_score=0.7&order=uncertainty",
    "score from 0.9999 (hardly any)": "least_score=0.9999",
    "score from 0.9999, most uncertain": "least_score=0.9999&order=uncertainty",
    "area from 0.6": "least_area=0.6",
    "nothing found": "nothing=1",
    "nothing found, most uncertain": "nothing=1&order=uncertainty",
}


def events(number: int) -> Iterator[ImageCatalogued]:
    """Images with none to six masks; a tenth have none. Categories are as unevenly common as in real jobs."""
    chance = random.Random(0)
    likely = [1 / (place + 1) for place in range(len(CATEGORIES))]
    for place in range(number):
        uri = f"s3://photographs/2026/03/14/IMG_{place:08}.jpg"
        key = image_key(uri)
        segmentation = segmentation_id(key, SHA, "1-1024", "generated@1")
        chosen = chance.choices(range(len(CATEGORIES)), likely, k=chance.choice((0, 1, 2, 2, 3, 3, 3, 4, 5, 6)))
        masks = tuple(
            MaskRecord(
                index=index,
                category_id=category,
                category=CATEGORIES[category],
                score=round(chance.betavariate(5, 2), 4),
                area=chance.randrange(2000, 500_000),
                box=(chance.randrange(500), chance.randrange(300), chance.randrange(9, 500), chance.randrange(9, 300)),
                mask_id=mask_id(segmentation, index),
            )
            for index, category in enumerate(chosen)
        )
        yield ImageCatalogued(
            time=START + timedelta(milliseconds=place),
            job=JOB,
            image_key=key,
            dataset="generated",
            original=Original(uri=uri, size=500_000, sha256=SHA, width=2048, height=1366, format="JPEG"),
            normalised=Normalised(
                object=f"preprocessed/1-1024/{SHA}.jpg", sha256=SHA, width=1024, height=683, version="1-1024"
            ),
            model="generated@1",
            weights_sha256=SHA,
            segmentation_id=segmentation,
            masks_object=f"masks/{segmentation}.json.gz",
            masks_sha256=SHA,
            masks=masks,
            rejected=chance.choice((0, 0, 2)),
            code_version="0.1.0",
            segmented_at=START,
        )


async def generate(settings: Settings, number: int) -> float:
    """Write the rows; returns rows a second."""
    store = catalogue(settings)
    await store.migrate()
    await store.open()
    began = time.perf_counter()
    try:
        source = Source(kind="s3", uri="s3://photographs/")
        job = JobChanged(
            time=START, job=JOB, dataset="generated", source=source, model="generated@1", options=JobOptions(),
            state="complete", listed=number,
        )  # fmt: skip
        await store.put_job(job)
        await store.put_count(StageCount(job=JOB, stage="catalogued", partition=0, count=number, time=START))
        rows = events(number)
        while some := list(islice(rows, AT_ONCE)):
            await asyncio.gather(*map(store.put_image, some))
    finally:
        await store.close()
    return number / (time.perf_counter() - began)


async def serve(settings: Settings) -> None:
    """The site of the web role, until the process is ended."""
    store, objects = catalogue(settings), object_store(settings)
    await store.open()
    await objects.open()
    app = plain_app(settings)
    mount_site(app, store, objects, settings)
    async with serving(app):
        await asyncio.Event().wait()


class Visitor:
    """Asks for pages of the gallery, and takes the time from the request to the last byte."""

    def __init__(self, client: ClientSession) -> None:
        self._client = client

    async def page(self, address: str) -> tuple[float, str]:
        """Seconds, and the page."""
        began = time.perf_counter()
        async with self._client.get(address, headers={"Accept": "text/html"}) as answer:
            text = await answer.text()
            if answer.status != 200:
                raise RuntimeError(f"{address}: {answer.status} {text}")
        return time.perf_counter() - began, text

    async def times(self, address: str) -> list[float]:
        """Seconds of some requests, shortest first."""
        return sorted([(await self.page(address))[0] for _ in range(REPEATS)])

    async def walk(self, address: str, pages: int) -> tuple[list[float], str]:
        """Seconds of so many pages one after the other, and the address of the last one."""
        seconds: list[float] = []
        while True:
            took, text = await self.page(address)
            seconds.append(took)
            further = re.search(r'href="([^"]+)" rel="next"', text)
            if further is None or len(seconds) == pages:
                return sorted(seconds), address
            address = unescape(further[1])


async def measure(port: int, process: int) -> None:
    """Print what each question takes, and the memory of the server before and after many pages."""
    gallery = f"/jobs/{JOB}/gallery"
    async with ClientSession(f"http://127.0.0.1:{port}") as client:
        visitor = Visitor(client)
        await until_up(visitor, gallery)
        for name, query in QUESTIONS.items():
            first = f"{gallery}?{query}"
            took, text = await visitor.page(first)
            again = await visitor.times(first)
            _, deep = await visitor.walk(first, 20)
            later = await visitor.times(deep)
            cards = text.count('class="tile"')
            say(name, f"{cards} cards", f"first {took * 1e3:.0f}, again", again, "twenty pages on", later)
        before = resident(process)
        seconds, _ = await visitor.walk(gallery, PAGES)
        ranked, _ = await visitor.walk(f"{gallery}?order=uncertainty", PAGES)
        say("a walk", f"{len(seconds)} pages", "by key", seconds, "most uncertain first", ranked)
        print(f"memory of the server: {before:.0f} MB before those pages, {resident(process):.0f} MB after")


async def until_up(visitor: Visitor, address: str) -> None:
    """Wait for the server, two minutes at most."""
    async with asyncio.timeout(120):
        while True:
            try:
                await visitor.page(address)
            except OSError:
                await asyncio.sleep(0.2)
            else:
                return


def resident(process: int) -> float:
    """MB of memory that a process has."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def say(name: str, what: str, one: str, first: list[float], other: str, second: list[float]) -> None:
    """One line: median and longest of each list, in milliseconds."""
    parts = [
        f"{label} {statistics.median(seconds) * 1e3:.0f} (at most {seconds[-1] * 1e3:.0f})"
        for label, seconds in ((one, first), (other, second))
    ]
    print(f"{name:<36}{what:<12}{'; '.join(parts)} ms", flush=True)


def main() -> None:
    """Generate, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--catalogue", help="as WATSON_CATALOGUE; its job 'generated' is written")
    parser.add_argument("--serve", type=int, metavar="PORT", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    with TemporaryDirectory() as folder:
        where = chosen.catalogue or f"sqlite:{folder}/catalogue.db"
        port = chosen.serve or free_port()
        settings = Settings(catalogue=where, objects=f"file:{folder}/objects", web_port=port)
        if chosen.serve:
            asyncio.run(serve(settings))
            return
        rate = asyncio.run(generate(settings, chosen.images))
        print(f"{chosen.images:,} images on {where.partition(':')[0]}, written at {rate:,.0f} a second", flush=True)
        command = [sys.executable, "-m", "benchmarks.gallery", "--serve", str(port), "--catalogue", where]
        with subprocess.Popen(command) as server:
            try:
                asyncio.run(measure(port, server.pid))
            finally:
                server.terminate()


if __name__ == "__main__":
    main()
