"""The train role: each training once, whatever is delivered how often; what it cannot do is said."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from tests.agents.fakes import MemoryLog, MemoryMarks, record_of
from watson.agents.attempts import Attempts
from watson.agents.ports import Outbox
from watson.agents.train import TrainLink
from watson.agents.trainer import Trainer, command_of
from watson.errors import ReasonCode, Refused, Retriable
from watson.events import TrainingEnded, TrainingOptions, TrainingRequested, now

WANTED = TrainingRequested(
    training="street-1", name="street", base="efficientnet_lite0", snapshot="a" * 64, options=TrainingOptions(seed=3)
)


def _program(folder: Path, body: str) -> list[str]:
    """A stand-in for the command ``watson``: what it is told is in ``told``, one line a call."""
    script = folder / "watson.py"
    script.write_text(
        "import json, os, signal, sys, time\n"
        f"with open({str(folder / 'told')!r}, 'a') as told: told.write(json.dumps(sys.argv[1:]) + '\\n')\n{body}\n"
    )
    return [sys.executable, str(script)]


def _told(folder: Path) -> list[list[str]]:
    told = folder / "told"
    return [json.loads(line) for line in told.read_text().splitlines()] if told.exists() else []


GOOD = 'print(json.dumps({"registered": "street@0123456789ab", "metrics": {"mean_iou": 0.5}}))'


class Line:
    """The role's logic between a log and a table in memory."""

    def __init__(self, folder: Path, body: str) -> None:
        self.log, self.marks = MemoryLog(), MemoryMarks()
        trainer = Trainer(folder / "trainings", _program(folder, body))
        attempts = Attempts("train", most=2, backoff=0.001, backoff_max=0.001, timeout=60)
        self.link = TrainLink(trainer, self.marks, Outbox(self.log, "train", "", 4), attempts)

    async def deliver(self) -> str:
        return await self.link.handle(record_of(WANTED), WANTED)

    @property
    def ended(self) -> TrainingEnded:
        (event,) = self.log.events(TrainingEnded)
        return event


async def test_a_training_registers_its_model_and_says_so(tmp_path: Path) -> None:
    line = Line(tmp_path, GOOD)
    assert await line.deliver() == "emitted"
    assert (line.ended.state, line.ended.model) == ("complete", "street@0123456789ab")
    assert line.ended.metrics == {"mean_iou": 0.5}
    (told,) = _told(tmp_path)
    assert told == command_of(WANTED, tmp_path / "trainings" / "street-1")
    assert f"snapshot:{'a' * 64}" in told


async def test_a_training_that_is_delivered_again_is_done_once(tmp_path: Path) -> None:
    line = Line(tmp_path, GOOD)
    outcomes = await asyncio.gather(*(line.deliver() for _ in range(3)))
    assert sorted(outcomes) == ["emitted", "repeated", "repeated"]
    assert len(_told(tmp_path)) == 1


async def test_trainings_of_one_worker_take_turns_and_those_that_wait_are_no_stall(tmp_path: Path) -> None:
    steps = tmp_path / "steps"
    note = f"note = open({str(steps)!r}, 'a', 1)"
    line = Line(tmp_path, f"{note}; note.write('begun\\n'); time.sleep(0.2); note.write('done\\n')\n{GOOD}")
    other = WANTED.model_copy(update={"training": "street-2"})
    both = [asyncio.create_task(line.link.handle(record_of(event), event)) for event in (WANTED, other)]
    await _until(lambda: steps.exists() and steps.read_text() != "")
    assert line.link._attempts.underway.works.total() >= 2
    assert [await task for task in both] == ["emitted", "emitted"]
    assert steps.read_text().split() == ["begun", "done", "begun", "done"]


async def test_a_mark_that_a_newer_watson_kept_is_a_training_done(tmp_path: Path) -> None:
    line = Line(tmp_path, GOOD)
    newer = b'{"topic":"trainings","kind":"training-ended","version":99,"event":{}}'
    await line.marks.put(0, WANTED.id.bytes, newer)
    assert await line.deliver() == "repeated"
    assert _told(tmp_path) == []


async def test_a_training_that_was_refused_fails_at_once_with_the_reason(tmp_path: Path) -> None:
    line = Line(tmp_path, "print('watson: there is no snapshot', file=sys.stderr); sys.exit(2)")
    assert await line.deliver() == "failed"
    assert (line.ended.state, line.ended.message) == ("failed", "there is no snapshot")
    assert len(_told(tmp_path)) == 1


async def test_a_training_that_failed_is_done_when_it_is_asked_for_again_and_not_when_it_is_delivered_again(
    tmp_path: Path,
) -> None:
    line = Line(tmp_path, "print('watson: there is no snapshot', file=sys.stderr); sys.exit(2)")
    assert await line.deliver() == "failed"
    assert await line.deliver() == "repeated"
    failed = line.ended
    _program(tmp_path, GOOD)  # what was missing is there now
    again = WANTED.model_copy(update={"time": failed.time + timedelta(seconds=1)})
    assert await line.link.handle(record_of(again), again) == "emitted"
    assert [event.state for event in line.log.events(TrainingEnded)] == ["failed", "complete"]
    later = WANTED.model_copy(update={"time": now() + timedelta(days=1)})
    assert await line.link.handle(record_of(later), later) == "repeated"
    assert len(_told(tmp_path)) == 2


CHECKPOINT = (
    "from pathlib import Path; folder = Path(sys.argv[sys.argv.index('--out') + 1]) / '.training'\n"
    "folder.mkdir(parents=True, exist_ok=True); (folder / 'checkpoint.pt').write_bytes(b'all of it')\n"
)


async def test_what_a_training_left_on_disk_goes_when_its_end_was_said(tmp_path: Path) -> None:
    line = Line(tmp_path, CHECKPOINT + GOOD)
    assert await line.deliver() == "emitted"
    assert list((tmp_path / "trainings").iterdir()) == []
    assert await line.deliver() == "repeated"


async def test_what_a_training_left_on_disk_goes_also_where_a_worker_died_before_it_did(tmp_path: Path) -> None:
    line = Line(tmp_path, GOOD)
    await line.deliver()
    (tmp_path / "trainings" / "street-1" / ".training").mkdir(parents=True)
    assert await line.deliver() == "repeated"
    assert list((tmp_path / "trainings").iterdir()) == []


@pytest.mark.parametrize("broken", ["log", "marks"])
async def test_a_model_stays_on_disk_until_its_end_was_said(tmp_path: Path, broken: str) -> None:
    line = Line(tmp_path, CHECKPOINT + GOOD)
    getattr(line, broken).failure = RuntimeError("nothing is taken")
    with pytest.raises(RuntimeError, match="nothing is taken"):
        await line.deliver()
    assert (tmp_path / "trainings" / "street-1" / ".training" / "checkpoint.pt").exists()


@pytest.mark.parametrize("code", [1, 2, 69])
async def test_what_a_training_that_failed_left_on_disk_stays(tmp_path: Path, code: int) -> None:
    line = Line(tmp_path, f"{CHECKPOINT}sys.exit({code})")
    for outcome in ("failed", "repeated"):
        assert await line.deliver() == outcome
        assert (tmp_path / "trainings" / "street-1" / ".training" / "checkpoint.pt").exists()


@pytest.mark.parametrize(
    "body", ["os.kill(os.getpid(), signal.SIGKILL)", "sys.exit(69)", "print('no JSON')", "print('[]')"]
)
async def test_a_training_that_broke_off_is_tried_again_and_then_fails(tmp_path: Path, body: str) -> None:
    line = Line(tmp_path, body)
    assert await line.deliver() == "failed"
    assert len(_told(tmp_path)) == 2


async def test_a_training_that_broke_off_once_ends_well(tmp_path: Path) -> None:
    first = tmp_path / "first"
    line = Line(tmp_path, f"if not os.path.exists({str(first)!r}): open({str(first)!r}, 'w'); sys.exit(1)\n{GOOD}")
    assert await line.deliver() == "emitted"


async def test_the_process_ends_with_the_worker(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    program = _program(tmp_path, f"open({str(pid)!r}, 'w').write(str(os.getpid())); time.sleep(60)")
    training = asyncio.create_task(Trainer(tmp_path / "trainings", program).train(WANTED))
    await _until(lambda: pid.exists() and pid.read_text() != "")
    training.cancel()
    with pytest.raises(asyncio.CancelledError):
        await training
    assert not _lives(int(pid.read_text()))


@pytest.mark.parametrize(
    ("body", "error", "code"),
    [
        ("sys.exit(2)", Refused, ReasonCode.MODEL_FAILED),
        ("sys.exit(69)", Retriable, ReasonCode.STORE_UNAVAILABLE),
        ("sys.exit(1)", Retriable, ReasonCode.MODEL_FAILED),
    ],
)
async def test_exit_codes_tell_what_can_pass(
    tmp_path: Path, body: str, error: type[Exception], code: ReasonCode
) -> None:
    with pytest.raises(error) as raised:
        await Trainer(tmp_path / "trainings", _program(tmp_path, body)).train(WANTED)
    assert raised.value.code is code


async def test_the_process_ends_with_a_worker_that_was_killed(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    program = _program(tmp_path, f"open({str(pid)!r}, 'w').write(str(os.getpid())); time.sleep(60)")
    code = (
        "import asyncio, sys; from pathlib import Path; from tests.agents.test_train import WANTED;"
        "from watson.agents.trainer import Trainer;"
        "asyncio.run(Trainer(Path(sys.argv[1]), sys.argv[2:]).train(WANTED))"
    )
    worker = await asyncio.create_subprocess_exec(sys.executable, "-c", code, str(tmp_path / "trainings"), *program)
    await _until(lambda: pid.exists() and pid.read_text() != "")
    worker.kill()
    await worker.wait()
    await _until(lambda: not _lives(int(pid.read_text())))


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - another process makes it so
            await asyncio.sleep(0.02)


def _lives(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False
