"""The whole chain in memory: what becomes of images that are retried or repaired, in the rows and in the ledger."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.agents.fakes import MemoryLog, MemoryMarks, Stage, catalogued, discovered, outbox, preprocessed, record_of
from watson.actions.retry import Choice, to_retry
from watson.agents.attempts import Attempts
from watson.agents.chain import ChainLink
from watson.agents.tracker import Tracker
from watson.errors import ReasonCode, Refused
from watson.events import (
    REDRIVE,
    REPAIR,
    RETRY,
    ImageCatalogued,
    ImagePreprocessed,
    ImageQuarantined,
    ImageSegmented,
    JobChanged,
    JobOptions,
    MaskSummary,
    Record,
    Source,
    decode,
    now,
)
from watson.settings import Settings
from watson.stages.catalogue import CatalogueStage
from watson.stages.project import Projector
from watson.storage.sqlite import SqliteCatalogue

ONCE = Attempts("test", most=1, backoff=0.001, backoff_max=0.001, timeout=5)
GONE = Refused(ReasonCode.OBJECT_MISSING, "not there")
AWAY = Refused(ReasonCode.STORE_UNAVAILABLE, "does not answer")
MASK = MaskSummary(index=0, category_id=1, category="cat", score=0.9, area=60, box=(0, 0, 8, 8))


def segmented() -> ImageSegmented:
    end = catalogued()
    fields = end.model_dump(exclude={"time", "masks", "rejected", "code_version", "segmented_at"})
    return ImageSegmented(**fields, masks=(MASK,))


class Fresh(Stage):
    """Says each result with a time of its own, as a stage does."""

    async def handle(self, event):
        return (await super().handle(event)).model_copy(update={"time": now()})


class Chain:
    """Every stage, the tracker and the projection, on one partition of a log in memory."""

    def __init__(self, rows: SqliteCatalogue, first: list, second: list) -> None:
        self.rows, self.log = rows, MemoryLog()
        self.stages = [Fresh(*first), Fresh(*second), CatalogueStage()]
        self.stages[1].name, self.stages[1].accepts = "segment", ImagePreprocessed
        self.links = [ChainLink(stage, MemoryMarks(), outbox(self.log, stage.name), ONCE) for stage in self.stages]
        self.tracker = Tracker(MemoryMarks(), outbox(self.log, "discover"), Settings())
        self.projector = Projector(rows, MemoryMarks())
        self.done = 0

    async def begin(self) -> None:
        await self.tracker.assign(0, 1)
        await self.projector.assign(0)
        fields = {"dataset": "d", "source": Source(kind="s3", uri="s3://b/"), "model": "m@1", "options": JobOptions()}
        await self.send(record_of(JobChanged(job="job", state="complete", listed=1, **fields)))
        await self.send(record_of(discovered()))

    async def send(self, *records: Record) -> None:
        """Append them, and let the line work until nothing is left."""
        self.log.records += records
        while self.done < len(self.log.records):
            record = replace(self.log.records[self.done], timestamp=now().timestamp())
            self.done += 1
            event = decode(record)
            for link in self.links:
                await link.handle(record, event)
            await self.tracker.handle(record, event)
            await self.projector.apply(record, event)
        await self.projector.flush()

    async def letters(self) -> list[tuple[str, str, bool]]:
        page = await self.rows.dead_letters("job")
        return sorted((row.event.stage, row.event.reason.value, row.resolved) for row in page.items)

    async def retry(self, times: int = 1) -> None:
        """As `watson dead-letters retry` does, so many times before the line gets to it."""
        failed = to_retry(list((await self.rows.dead_letters("job")).items), Choice("job"), 100)
        records = [Record(one.topic, one.partition, 0, one.key, one.value, one.headers) for one in failed]
        await self.again(RETRY, *(records * times))

    async def again(self, how: str, *records: Record) -> None:
        await self.send(*(replace(one, headers=(*one.headers, (REDRIVE, how.encode()))) for one in records))

    async def counts(self) -> tuple[int, int]:
        """Catalogued and quarantined, as the projection and the tracker have them; fails where they differ."""
        row = await self.rows.job("job")
        said = row.counts["catalogued"], row.counts["quarantined"]
        ledger = self.tracker._counts[0]["job"]
        assert (ledger.catalogued, ledger.quarantined) == said
        assert ledger.discovered == sum(said) == row.counts["discovered"] == 1
        assert len((await self.rows.images("job")).items) == said[0]
        return said


@pytest.fixture
async def rows(tmp_path):
    catalogue = SqliteCatalogue(tmp_path / "catalogue.db")
    await catalogue.migrate()
    await catalogue.open()
    yield catalogue
    await catalogue.close()


@pytest.fixture
async def chain(rows):
    """Builds a chain, whose stages do one thing after the other, and lets it work on one image."""

    async def build(first: list, second: list | None = None) -> Chain:
        made = Chain(rows, first, second or [segmented()])
        await made.begin()
        return made

    return build


async def test_a_retry_that_is_sent_twice_ends_once(chain):
    line = await chain([GONE, preprocessed()])
    assert await line.counts() == (0, 1)
    await line.retry(times=2)
    assert await line.counts() == (1, 0)
    assert await line.letters() == [("preprocess", "object-missing", True)]
    assert line.stages[0].calls == 2
    assert len({event.id for event in line.log.events(ImageCatalogued)}) == 1


async def test_a_retry_that_fails_for_another_reason_has_one_letter_with_that_and_is_resolved_in_the_end(chain):
    line = await chain([GONE, AWAY, preprocessed()])
    await line.retry()
    assert await line.counts() == (0, 1)
    assert await line.letters() == [("preprocess", "store-unavailable", False)]
    await line.retry()
    assert await line.counts() == (1, 0)
    assert await line.letters() == [("preprocess", "store-unavailable", True)]
    await line.retry()
    assert len(line.log.events(ImageCatalogued)) == 1, "what was resolved is left alone"


async def test_a_retry_that_fails_in_a_later_stage_counts_once_and_all_its_letters_are_resolved_in_the_end(chain):
    line = await chain([GONE, preprocessed()], [AWAY, segmented()])
    await line.retry()
    assert await line.counts() == (0, 1)
    assert await line.letters() == [("preprocess", "object-missing", False), ("segment", "store-unavailable", False)]
    await line.retry()
    assert await line.counts() == (1, 0)
    assert [resolved for *_, resolved in await line.letters()] == [True, True]


async def test_an_image_of_a_job_that_was_cancelled_is_retried_all_the_same(chain, rows):
    line = await chain([GONE, preprocessed()])
    cancelled = (await rows.job("job")).job.model_copy(update={"state": "cancelled", "time": now()})
    await line.send(record_of(cancelled))
    await line.retry()
    assert await line.counts() == (1, 0)
    assert (await rows.job("job")).job.state == "cancelled"


@pytest.mark.parametrize("times", [1, 3])
async def test_a_repaired_image_is_catalogued_anew_and_counted_once(chain, rows, times):
    line = await chain([preprocessed()])
    (before,) = (await rows.images("job")).items
    await line.again(REPAIR, *[record_of(discovered())] * times)
    assert await line.counts() == (1, 0)
    (after,) = (await rows.images("job")).items
    assert after.masks == before.masks
    assert after.time > before.time
    assert [stage.calls for stage in line.stages[:2]] == [1 + times] * 2
    assert await rows.categories("job") == {"cat": 1}


async def test_a_repair_that_fails_leaves_the_image_catalogued_and_says_why(chain, rows):
    line = await chain([preprocessed(), GONE])
    before = await rows.images("job")
    await line.again(REPAIR, record_of(discovered()))
    assert await line.counts() == (1, 0)
    assert await rows.images("job") == before
    assert await line.letters() == [("preprocess", "object-missing", True)]
    await line.again("1", record_of(discovered()))
    assert await line.counts() == (1, 0)
    assert len(line.log.events(ImageQuarantined)) == 1, "a redrive says what was done well, not what failed since"


async def test_an_image_quarantined_because_its_picture_was_lost_is_catalogued_by_a_repair(chain):
    line = await chain([preprocessed()], [GONE, segmented()])
    assert await line.letters() == [("segment", "object-missing", False)]
    await line.again(REPAIR, record_of(discovered()))
    assert await line.counts() == (1, 0)
    assert await line.letters() == [("segment", "object-missing", True)]


async def test_a_repair_of_rows_alone_has_no_stage_work(chain, rows):
    line = await chain([preprocessed()])
    before, (end,) = await rows.images("job"), [one for one in line.log.records if one.topic == "catalogued"]
    await rows.wipe()
    assert (await rows.images("job")).items == ()
    await line.again(REPAIR, end)
    assert await rows.images("job") == before
    assert await rows.categories("job") == {"cat": 1}
    assert [stage.calls for stage in line.stages[:2]] == [1, 1]
