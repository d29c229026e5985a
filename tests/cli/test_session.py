from __future__ import annotations

import asyncio

import pytest

from tests.storage.events import at, changed
from watson.cli.session import BROKER_SECONDS, command_settings, job_or_error
from watson.errors import UserError
from watson.storage.sqlite import SqliteCatalogue


@pytest.fixture
async def rows(tmp_path):
    catalogue = SqliteCatalogue(tmp_path / "catalogue.db")
    await catalogue.migrate()
    await catalogue.open()
    yield catalogue
    await catalogue.close()


@pytest.mark.parametrize(("asked", "given"), [("3600", BROKER_SECONDS), ("0.5", 0.5)])
def test_a_command_does_not_try_a_broker_for_longer_than_a_person_waits(monkeypatch, asked, given):
    monkeypatch.setenv("WATSON_BROKER_WAIT", asked)
    assert command_settings().broker_wait == given


async def test_a_job_that_there_is_not_is_refused_with_the_newest_that_there_are(rows):
    for number in range(12):
        await rows.put_job(changed(f"job-{number:02}", time=at(number)))
    newest = ", ".join(f"job-{number:02}" for number in range(11, 1, -1))
    with pytest.raises(UserError, match=f"there is no job 'jb-01' in the catalogue; known: {newest}, …$"):
        await job_or_error(rows, "jb-01")


async def test_with_no_jobs_at_all_that_is_said(rows):
    with pytest.raises(UserError, match=r"known: none yet$"):
        await job_or_error(rows, "job")


async def test_a_job_that_was_submitted_just_now_is_waited_for(rows):
    waiting = asyncio.ensure_future(job_or_error(rows, "job", patience=30))
    done, _ = await asyncio.wait([waiting], timeout=0.6)
    assert not done
    await rows.put_job(changed("job"))
    assert (await asyncio.wait_for(waiting, 10)).job.job == "job"


async def test_patience_has_an_end(rows):
    with pytest.raises(UserError, match="there is no job 'job'"):
        await asyncio.wait_for(job_or_error(rows, "job", patience=0.3), 10)
