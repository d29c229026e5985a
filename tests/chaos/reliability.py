"""``python -m tests.chaos.reliability build/chaos/seed-*.json > docs/reliability.md``: what was measured, as a page."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from statistics import median

from tests.chaos.report import DUPLICATED, LOST, Report

__all__ = ["page"]

_HEAD = """\
# Reliability, measured

Generated from the results of `make chaos`; do not edit. To reproduce it:

    make chaos SEEDS={seeds}
    .venv/bin/python -m tests.chaos.reliability build/chaos/seed-*.json > docs/reliability.md

One run is one seed: real Kafka 4.1.1, Cassandra 5.0.4 and an S3 server (versitygw) of its own, two workers of each of
`discover`, `preprocess`, `segment`, `catalogue` and `project` as processes, and three jobs at once (an S3 prefix, a
directory, a list of URIs that shares pictures with both, names some twice and some that are not there). The seed
chooses the faults, their moments, victims and lengths; the same seed gives the same schedule. Workers that die are
started again with backoff, as Kubernetes would. The model is `test-threshold`, which an oracle can compute on its
own.

When all jobs are complete, an oracle that uses none of Watson's code and is told only what was put into the sources
reads Kafka, Cassandra and S3 by their own clients, and compares: every image ended as it must and once, no mask id
twice, every object there with its hash, every mask pixel for pixel what it must be, rows and counts equal to the log,
every dead letter's original byte for byte what stands in the log. *Lost* and *duplicated* count what it found.

"""

_FAULTS = """
## The faults

| fault | what happens | times |
|---|---|---|
"""

_WHAT = {
    "kill-worker": "SIGKILL of one worker",
    "stop-worker": "SIGTERM of one worker",
    "zombie": "SIGSTOP of a worker for longer than the session time-out (5 s), then SIGCONT",
    "kill-role": "SIGKILL of all workers of a role at once",
    "rolling-restart": "SIGTERM of the workers of a role, one after the other",
    "churn": "a worker leaves and joins again every few seconds: a rebalance each time",
    "disk-full": "no file of a worker can be written (`RLIMIT_FSIZE` of its process: needs no rights and no mount)",
    "tables-lost": "SIGKILL of a worker, and its RocksDB directory is deleted",
    "tables-deleted": "the RocksDB directory of a running worker is deleted",
    "tables-corrupt": "SIGKILL of a worker, and bytes of its RocksDB files are overwritten",
    "kill-kafka": "SIGKILL of the only broker, and a restart",
    "pause-kafka": "SIGSTOP of the broker for 5–12 s",
    "kill-cassandra": "SIGKILL of the only node, and a restart",
    "pause-cassandra": "SIGSTOP of the node for 6–12 s: writes time out, and are done all the same",
    "kill-s3": "SIGKILL of the S3 server, and a restart",
    "s3-busy": "30–100 % of S3 requests are answered with 503 for 4–10 s",
    "s3-slow": "30–100 % of S3 answers come 0.5–5 s late for 5–10 s",
    "s3-cut": "30–100 % of S3 connections are cut in the request or in the answer for 4–10 s",
    "duplicates": "every record of every topic is produced once more, for 8–15 s",
    "late-copies": "records of 5–10 s are produced once more 5–12 s later, in any order",
}

_RECOVERY = """
## Time to recover

Seconds from the fault until every partition of the role's output topic had grown again (for `kill-kafka`: from the
start of the broker's process until `segmented` grew). They include waiting for work, other faults of the schedule,
and the load of {workers} worker processes and three servers on the machine that ran this; they are not the fail-over
time of an idle line.

| fault | measured | median | most |
|---|---|---|---|
"""

_TAIL = """
## The tests of the tests

`tests/chaos/test_oracle.py` plants {planted} errors in the evidence of a flawless run, one at a time: the oracle
finds each. `tests/chaos/test_mutants.py` takes a guarantee out of Watson, kills `segment` while some of its
emissions are held back, and switches re-drive off: the oracle must report loss with Faust's stock classes, with a
mark before the emission, and with an acknowledgement before the emission. Unmutated, the same run loses nothing. With
re-drive on, stock classes lose messages and every image still ends. [Decision
0012](decisions/0012-how-the-proof-is-made.md) says why it is made so.
"""


def page(reports: Iterable[Report], planted: int, workers: int) -> str:
    """The page, in Markdown."""
    runs = sorted(reports, key=lambda report: report.seed)
    seeds = ",".join(str(report.seed) for report in runs)
    faults: Counter[str] = Counter()
    for report in runs:
        faults.update(report.faults)
    text = _HEAD.format(seeds=seeds) + _rows(runs)
    text += _FAULTS + "".join(f"| `{name}` | {what} | {faults[name]} |\n" for name, what in _WHAT.items())
    text += _RECOVERY.format(workers=workers)
    for name in sorted({name for report in runs for name in report.recovery}):
        seconds = sorted(chain.from_iterable(report.recovery.get(name, []) for report in runs))
        text += f"| `{name}` | {len(seconds)} times | {median(seconds):.1f} | {seconds[-1]:.1f} |\n"
    return text + _TAIL.format(planted=planted)


def _rows(runs: list[Report]) -> str:
    head = "seed, faults, images, lost, duplicated, other findings, sent again, worker exits (code: times), seconds"
    columns = head.split(", ")
    text = f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}\n"
    for report in runs:
        exits = ", ".join(f"{code}: {number}" for code, number in report.exits.items())
        lost, twice = report.count(LOST), report.count(DUPLICATED)
        numbers = (report.seed, sum(report.faults.values()), report.images, lost, twice)
        rest = (len(report.findings) - lost - twice, report.redriven, exits, round(report.seconds))
        text += f"| {' | '.join(map(str, (*numbers, *rest)))} |\n"
    return text


def main() -> None:
    from tests.chaos.schedule import WORKERS
    from tests.chaos.test_oracle import PLANTED

    reports = [Report.read(Path(name)) for name in sys.argv[1:]]
    sys.stdout.write(page(reports, len(PLANTED) + 1, sum(WORKERS.values())))


if __name__ == "__main__":
    main()
