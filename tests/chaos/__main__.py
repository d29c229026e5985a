"""``python -m tests.chaos --seeds 1-20``: run schedules on servers of their own; what `make chaos` calls."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from tests.chaos.report import Report
from tests.chaos.run import FULL, SHORT, run
from tests.chaos.scene import Servers
from tests.services import S3, Cassandra, Kafka

RESULTS = Path("build/chaos")


def seeds(text: str) -> list[int]:
    """``7``, ``1-20``, ``3,5,8-9``."""
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


def main() -> int:
    """Exit code 0 where no run found anything."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seeds", type=seeds, default=[random.randrange(1, 1_000_000)], metavar="1-20")
    parser.add_argument("--short", action="store_true", help="the form that `make test` runs")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="leave logs and states there, one folder a seed")
    options = parser.parse_args()
    reports = []
    for seed in options.seeds:
        report = _one(seed, short=options.short, keep=options.keep)
        report.write(RESULTS / f"seed-{seed}.json")
        reports.append(report)
        print(report, flush=True)  # noqa: T201 - the command's output
    off = [report.seed for report in reports if report.findings]
    print(f"{len(reports)} runs, results in {RESULTS}/; " + (f"FINDINGS with seeds {off}" if off else "nothing found"))  # noqa: T201 - ditto
    return int(bool(off))


def _one(seed: int, *, short: bool, keep: Path | None) -> Report:
    with ExitStack() as stack:
        if keep is not None:
            folder = (keep / f"seed-{seed}").resolve()
            folder.mkdir(parents=True)
        else:
            folder = Path(
                stack.enter_context(tempfile.TemporaryDirectory(prefix="watson-chaos-", ignore_cleanup_errors=True))
            )
        kafka, cassandra, s3 = Kafka(folder / "kafka"), Cassandra(folder / "cassandra"), S3(folder / "s3")
        for server in (kafka, cassandra, s3):
            server.start()
            stack.callback(server.kill)
        return run(seed, SHORT if short else FULL, Servers.owned(kafka, cassandra, s3), folder)


if __name__ == "__main__":
    sys.exit(main())
