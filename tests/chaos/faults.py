"""The table of faults: a name, whom it can hit, with which numbers, and what it does."""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random

from tests.chaos.copies import copy_records
from tests.chaos.crew import Worker
from tests.chaos.gateway import Trouble
from tests.chaos.scene import PARTITIONS, Scene
from tests.chaos.schedule import CHAIN, WORKERS, Bounds, Fault, Kind
from tests.end_to_end.line import pause
from tests.services import Service

__all__ = ["FAULTS", "KINDS", "OUTPUTS", "strike"]

Strike = Callable[[Scene, Fault], float | None]
"""Does it; returns the moment (monotonic) from which recovery is to be measured, or None where that makes no sense."""

FAULTS: dict[str, Strike] = {}
KINDS: list[Kind] = []
OUTPUTS = {
    "discover": "image-discovered",
    "preprocess": "preprocessed",
    "segment": "segmented",
    "catalogue": "catalogued",
}
"""The topic whose growth says that a role goes on."""

_ROLES = tuple(WORKERS)
_EACH = tuple(f"{role}-{place}" for role, number in WORKERS.items() for place in range(number))
_WITH_TABLES = _EACH
_COPIED = ("image-discovered", "preprocessed", "segmented", "catalogued", "dead-letters", "jobs", "manifests")


def _fault(name: str, victims: tuple[str, ...], **parameters: Bounds) -> Callable[[Strike], Strike]:
    def add(strike: Strike) -> Strike:
        FAULTS[name] = strike
        KINDS.append(Kind(name, victims, tuple(parameters.items())))
        return strike

    return add


def strike(scene: Scene, fault: Fault) -> float | None:
    """Do it, from beginning to end; blocks."""
    return FAULTS[fault.name](scene, fault)


# ------------------------------------------------------------------ workers


@contextmanager
def _victim(scene: Scene, name: str) -> Iterator[Worker]:
    worker = scene.crew.workers[name]
    with worker.lock:
        yield worker


@_fault("kill-worker", _EACH)
def _kill_worker(scene: Scene, fault: Fault) -> float | None:
    with _victim(scene, fault.victim) as worker:
        began = time.monotonic()
        worker.end(signal.SIGKILL)
        return began


@_fault("stop-worker", _EACH)
def _stop_worker(scene: Scene, fault: Fault) -> float | None:
    with _victim(scene, fault.victim) as worker:
        began = time.monotonic()
        worker.end(signal.SIGTERM)
        return began


@_fault("zombie", _EACH, seconds=(7.0, 12.0))
def _zombie(scene: Scene, fault: Fault) -> float | None:
    """Beyond the session time-out: its partitions are another's when it wakes."""
    with _victim(scene, fault.victim) as worker:
        worker.signal(signal.SIGSTOP)
        try:
            pause(fault["seconds"])
        finally:
            worker.signal(signal.SIGCONT)
    return None


@_fault("kill-role", _ROLES)
def _kill_role(scene: Scene, fault: Fault) -> float | None:
    workers = scene.crew.of(fault.victim)
    with ExitStack() as locks:
        for worker in workers:
            locks.enter_context(worker.lock)
        began = time.monotonic()
        for worker in workers:
            worker.signal(signal.SIGKILL)
        return began


@_fault("rolling-restart", _ROLES, seconds=(0.5, 3.0))
def _rolling_restart(scene: Scene, fault: Fault) -> float | None:
    for worker in scene.crew.of(fault.victim):
        with worker.lock:
            worker.end(signal.SIGTERM)
        pause(fault["seconds"])
    return None


@_fault("churn", CHAIN, seconds=(2.0, 4.0), times=(2.0, 3.9))
def _churn(scene: Scene, fault: Fault) -> float | None:
    """A worker leaves and joins again, every few seconds: a rebalance each time."""
    with _victim(scene, scene.crew.of(fault.victim)[-1].name) as worker:
        for _ in range(int(fault["times"])):
            with scene.crew.held(worker):
                worker.end(signal.SIGTERM)
                pause(fault["seconds"])
            pause(fault["seconds"])
    return None


# ------------------------------------------------------------------ a worker's tables


@_fault("disk-full", _WITH_TABLES, seconds=(4.0, 8.0))
def _disk_full(scene: Scene, fault: Fault) -> float | None:
    """No byte can be written to any file: RLIMIT_FSIZE of the process, which needs no rights and no mount."""
    with _victim(scene, fault.victim) as worker, scene.crew.without_disk(worker):
        pause(fault["seconds"])
    return None


@_fault("tables-lost", _WITH_TABLES)
def _tables_lost(scene: Scene, fault: Fault) -> float | None:
    """A pod that comes back on another node: nothing is on its disk."""
    with _victim(scene, fault.victim) as worker, scene.crew.held(worker):
        worker.end(signal.SIGKILL)
        shutil.rmtree(worker.state, ignore_errors=True)
    return None


@_fault("tables-deleted", _WITH_TABLES)
def _tables_deleted(scene: Scene, fault: Fault) -> float | None:
    """While it runs."""
    with _victim(scene, fault.victim) as worker:
        shutil.rmtree(worker.state, ignore_errors=True)
    return None


@_fault("tables-corrupt", _WITH_TABLES, share=(0.2, 1.0), order=(0.0, 1.0))
def _tables_corrupt(scene: Scene, fault: Fault) -> float | None:
    """Killed, and bytes in the middle of some files of its databases are overwritten."""
    random = Random(fault["order"])
    with _victim(scene, fault.victim) as worker, scene.crew.held(worker):
        worker.end(signal.SIGKILL)
        for file in sorted(worker.state.rglob("*.db/*")):
            if file.suffix in (".sst", ".log") or file.name.startswith(("MANIFEST", "CURRENT")):
                _overwrite(file, random, fault["share"])
    return None


def _overwrite(file: Path, random: Random, share: float) -> None:
    size = file.stat().st_size
    if size and random.random() < share:
        with file.open("r+b") as out:
            out.seek(size // 2)
            out.write(random.randbytes(min(64, size - size // 2)))


# ------------------------------------------------------------------ servers


def _kill_and_start(server: Service, seconds: float) -> float:
    server.kill()
    pause(seconds)
    began = time.monotonic()
    server.start()
    return began


@contextmanager
def _paused(server: Service) -> Iterator[None]:
    server.pause()
    try:
        yield
    finally:
        server.resume()


@_fault("kill-kafka", ("kafka",), seconds=(0.0, 4.0))
def _kill_kafka(scene: Scene, fault: Fault) -> float | None:
    with scene.locks["kafka"]:
        return _kill_and_start(scene.kafka, fault["seconds"])


@_fault("pause-kafka", ("kafka",), seconds=(5.0, 12.0))
def _pause_kafka(scene: Scene, fault: Fault) -> float | None:
    """Connections stay open and nobody answers: for longer than a request may take."""
    with scene.locks["kafka"], _paused(scene.kafka):
        pause(fault["seconds"])
    return None


@_fault("kill-cassandra", ("cassandra",), seconds=(0.0, 4.0))
def _kill_cassandra(scene: Scene, fault: Fault) -> float | None:
    with scene.locks["cassandra"]:
        _kill_and_start(scene.cassandra, fault["seconds"])
    return None


@_fault("pause-cassandra", ("cassandra",), seconds=(6.0, 12.0))
def _pause_cassandra(scene: Scene, fault: Fault) -> float | None:
    """Writes time out, and are done all the same when it wakes."""
    with scene.locks["cassandra"], _paused(scene.cassandra):
        pause(fault["seconds"])
    return None


@_fault("kill-s3", ("s3",), seconds=(0.0, 6.0))
def _kill_s3(scene: Scene, fault: Fault) -> float | None:
    with scene.locks["s3"]:
        _kill_and_start(scene.store, fault["seconds"])
    return None


@_fault("s3-busy", ("s3",), seconds=(4.0, 10.0), share=(0.3, 1.0))
def _s3_busy(scene: Scene, fault: Fault) -> float | None:
    return _trouble(scene, Trouble("busy", fault["share"]), fault["seconds"])


@_fault("s3-slow", ("s3",), seconds=(5.0, 10.0), share=(0.3, 1.0), wait=(0.5, 5.0))
def _s3_slow(scene: Scene, fault: Fault) -> float | None:
    return _trouble(scene, Trouble("slow", fault["share"], fault["wait"]), fault["seconds"])


@_fault("s3-cut", ("s3",), seconds=(4.0, 10.0), share=(0.3, 1.0))
def _s3_cut(scene: Scene, fault: Fault) -> float | None:
    return _trouble(scene, Trouble("cut", fault["share"]), fault["seconds"])


def _trouble(scene: Scene, trouble: Trouble, seconds: float) -> None:
    with scene.locks["s3"], scene.gateway.trouble(trouble):
        pause(seconds)


# ------------------------------------------------------------------ the log


@_fault("duplicates", ("log",), seconds=(8.0, 15.0))
def _duplicates(scene: Scene, fault: Fault) -> float | None:
    """Every event is there twice."""
    return _copy(scene, fault["seconds"], 0.0)


@_fault("late-copies", ("log",), seconds=(5.0, 10.0), delay=(5.0, 12.0))
def _late_copies(scene: Scene, fault: Fault) -> float | None:
    """Events come a second time, late and in any order, across topics and partitions."""
    return _copy(scene, fault["seconds"], fault["delay"])


def _copy(scene: Scene, seconds: float, delay: float) -> None:
    topics = [scene.prefix + topic for topic in _COPIED]
    with scene.locks["log"]:
        brokers = scene.servers.kafka.brokers
        scene.copied += copy_records(brokers, topics, PARTITIONS, seconds=seconds, delay=delay, seed=0)
