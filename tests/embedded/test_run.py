from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson
import pytest
from pycocotools.coco import COCO

from watson.embedded.demo import collect_photographs
from watson.embedded.line import ROLES
from watson.embedded.run import job_id, run
from watson.errors import UserError
from watson.events import JobOptions, Rules, Source

CHOSEN = ("cat-chelsea.png", "coffee.png", "drum.jpg", "flower.jpg", "bald-eagle.jpg", "yurt.jpg", "goose.jpg")
BROKEN = ("broken-truncated.jpg", "broken-not-a-picture.jpg")
RUN_SECONDS = 240
STOP_SECONDS = 40

slow = [pytest.mark.slow, pytest.mark.torch, pytest.mark.timeout(600)]


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    everything = tmp_path / "all"
    collect_photographs(everything)
    folder = tmp_path / "photographs"
    folder.mkdir()
    for name in (*CHOSEN, *BROKEN):
        (everything / name).rename(folder / name)
    return folder


class Command:
    """``watson run``, as a user starts it, and what its processes are."""

    def __init__(self, photographs: Path, out: Path) -> None:
        self.out = out
        self._progress = out.parent / f"progress-{uuid.uuid4().hex[:8]}.jsonl"
        with self._progress.open("w") as progress:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "watson", "run", str(photographs), "--out", str(out), "--json"],
                stdout=subprocess.PIPE,
                stderr=progress,
                text=True,
                env=os.environ | {"WATSON_TORCH_THREADS": "1"},
            )
        self.seen: set[int] = set()

    def children(self) -> dict[str, int]:
        """Role (or ``broker``) → process id."""
        found = {}
        for pid in _read(f"/proc/{self.process.pid}/task/{self.process.pid}/children").split():
            words = _read(f"/proc/{pid}/cmdline").split("\0")
            if "worker" in words:
                found[words[words.index("worker") + 1]] = int(pid)
            elif words[0].endswith("tansu"):
                found["broker"] = int(pid)
        self.seen.update(found.values())
        return found

    def until(self, condition: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + RUN_SECONDS
        while not condition():
            assert self.process.poll() is None, f"ended before {what}: {self.progress()[-3000:]}"
            assert time.monotonic() < end, f"not within {RUN_SECONDS} s: {what}"
            time.sleep(0.05)

    def progress(self) -> str:
        return self._progress.read_text()

    def pages(self) -> str:
        """Where it says that its pages are."""
        said: list[dict] = []

        def has_said() -> bool:
            said[:] = [line for line in map(orjson.loads, self.progress().splitlines()) if "pages" in line]
            return bool(said)

        self.until(has_said, "the address of the pages")
        return said[0]["pages"]

    def until_masks(self, least: int) -> None:
        self.until(lambda: len(list((self.out / ".watson/objects").rglob("*.json.gz"))) >= least, f"{least} masks")

    def summary(self) -> dict:
        stdout, _ = self.process.communicate(timeout=RUN_SECONDS)
        assert self.process.returncode == 0, self.progress()[-3000:]
        return orjson.loads(stdout)

    def ended(self) -> int:
        self.process.communicate(timeout=STOP_SECONDS)
        return self.process.returncode

    def leaves_nothing(self) -> bool:
        """Whether none of its processes runs any more; they have a few seconds to disappear."""
        end = time.monotonic() + 10
        while any(map(_alive, self.seen)):
            if time.monotonic() > end:
                return False
            time.sleep(0.05)
        return True


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _alive(pid: int) -> bool:
    return _read(f"/proc/{pid}/stat").rpartition(")")[2].split()[:1] not in ([], ["Z"], ["X"])


@pytest.fixture
def start(photographs: Path, tmp_path: Path) -> Iterator[Callable[[], Command]]:
    commands: list[Command] = []

    def begin() -> Command:
        commands.append(Command(photographs, tmp_path / "out"))
        return commands[-1]

    yield begin
    for command in commands:
        command.process.kill()
        command.process.communicate()


def _is_complete(summary: dict, out: Path) -> None:
    """Every picture once: catalogued, or quarantined with its reason."""
    assert summary["discovered"] == len(CHOSEN) + len(BROKEN)
    assert summary["catalogued"] == len(CHOSEN)
    assert summary["quarantined_files"] == {"truncated": [BROKEN[0]], "not-an-image": [BROKEN[1]]}
    coco = COCO(out / "annotations/instances.json")
    names = [image["watson"]["original_name"] for image in coco.loadImgs(coco.getImgIds())]
    assert sorted(names) == sorted(CHOSEN)
    assert len(coco.anns) == summary["masks"] == len(list((out / "masks").iterdir()))


class TestRun:
    pytestmark = slow

    def test_photographs_become_a_dataset_and_nothing_is_left_running(self, start: Callable[[], Command]) -> None:
        command = start()
        command.until(lambda: set(command.children()) == {"broker", *ROLES}, "all roles")
        _is_complete(command.summary(), command.out)
        assert command.leaves_nothing()
        again = start()
        _is_complete(again.summary(), again.out)

    def test_its_pages_show_the_job_while_it_runs(self, start: Callable[[], Command]) -> None:
        command = start()
        pages = command.pages()
        command.until_masks(1)  # by then the job is in the catalogue
        with urllib.request.urlopen(f"{pages}api/v1/jobs", timeout=10) as answer:
            (job,) = orjson.loads(answer.read())["jobs"]
        _is_complete(command.summary(), command.out)
        assert job["dataset"] == "out"
        with pytest.raises(OSError, match="refused"):
            urllib.request.urlopen(pages, timeout=10)

    def test_roles_that_are_killed_are_started_again_and_no_picture_is_lost(self, start: Callable[[], Command]) -> None:
        command = start()
        command.until_masks(1)
        killed = command.children()
        for role in ("segment", "catalogue", "project", "discover"):
            os.kill(killed[role], signal.SIGKILL)
        command.until(
            lambda: command.children().get("segment", killed["segment"]) != killed["segment"], "a new segment"
        )
        _is_complete(command.summary(), command.out)
        assert command.leaves_nothing()

    def test_when_the_broker_dies_the_line_starts_again(self, start: Callable[[], Command]) -> None:
        command = start()
        command.until_masks(1)
        os.kill(command.children()["broker"], signal.SIGKILL)
        _is_complete(command.summary(), command.out)
        assert command.leaves_nothing()

    def test_a_run_that_is_killed_leaves_no_process_and_the_next_one_goes_on(
        self, start: Callable[[], Command]
    ) -> None:
        command = start()
        command.until_masks(1)
        assert set(command.children()) == {"broker", *ROLES}
        command.process.kill()
        command.process.wait()
        assert command.leaves_nothing()
        assert not (command.out / "dataset.json").exists()
        objects = {path: path.stat().st_ino for path in (command.out / ".watson/objects").rglob("*.json.gz")}
        again = start()
        _is_complete(again.summary(), again.out)
        # what was segmented is used, not made again
        assert objects.items() <= {path: path.stat().st_ino for path in objects}.items()

    def test_ctrl_c_stops_in_order_and_says_so_with_its_exit_code(self, start: Callable[[], Command]) -> None:
        command = start()
        command.until(lambda: set(command.children()) == {"broker", *ROLES}, "all roles")
        command.process.send_signal(signal.SIGINT)
        assert command.ended() == 130
        assert command.leaves_nothing()

    def test_a_second_ctrl_c_ends_everything_at_once(self, start: Callable[[], Command]) -> None:
        command = start()
        command.until(lambda: set(command.children()) == {"broker", *ROLES}, "all roles")
        for pid in command.children().values():
            os.kill(pid, signal.SIGSTOP)  # they hear no SIGTERM
        command.process.send_signal(signal.SIGINT)
        time.sleep(0.5)  # the kernel joins equal signals that are pending; there is no state to poll for
        command.process.send_signal(signal.SIGINT)
        began = time.monotonic()
        assert command.ended() == 130
        assert time.monotonic() - began < 10
        assert command.leaves_nothing()

    def test_a_second_run_on_the_same_dataset_is_refused(self, start: Callable[[], Command]) -> None:
        command = start()
        command.until(lambda: bool(command.children()), "the broker")
        other = start()
        assert other.ended() == 2
        command.process.send_signal(signal.SIGINT)
        assert command.ended() == 130


@pytest.mark.parametrize("uri", ["{}", "file://{}"])
async def test_a_dataset_among_the_pictures_is_refused_before_anything_is_written(tmp_path: Path, uri: str) -> None:
    with pytest.raises(UserError, match="outside"):
        await run(Source(kind="directory", uri=uri.format(tmp_path)), tmp_path / "dataset")
    assert not (tmp_path / "dataset").exists()


def test_the_same_question_is_the_same_job() -> None:
    source = Source(kind="directory", uri="/photographs")
    one = job_id(source, "d", "m", JobOptions())
    assert one == job_id(source, "d", "m", JobOptions())
    assert len(one) == len("run-") + 10
    others = {
        job_id(Source(kind="directory", uri="/other"), "d", "m", JobOptions()),
        job_id(source, "e", "m", JobOptions()),
        job_id(source, "d", "n", JobOptions()),
        job_id(source, "d", "m", JobOptions(rules=Rules(least_score=0.5))),
    }
    assert len(others | {one}) == 5
