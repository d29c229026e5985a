"""The page of measured results says what the results say, and describes every fault."""

from __future__ import annotations

from pathlib import Path

from tests.chaos.faults import FAULTS
from tests.chaos.reliability import _WHAT, page
from tests.chaos.report import Report


def test_every_fault_is_described() -> None:
    assert set(_WHAT) == set(FAULTS)


def test_losses_and_recoveries_are_in_the_page(tmp_path: Path) -> None:
    report = Report(7, faults={"kill-worker": 3}, images=100, exits={"137": 3}, recovery={"kill-worker": [2.0, 4.0]})
    report.findings = [("missing", "j", "u", ""), ("both", "j", "u", ""), ("count-wrong", "j", "u", "")]
    report.write(tmp_path / "seed-7.json")
    text = page([Report.read(tmp_path / "seed-7.json")], planted=1, workers=10)
    assert "| 7 | 3 | 100 | 1 | 1 | 1 | 0 | 137: 3 | 0 |" in text
    assert "| `kill-worker` | 2 times | 3.0 | 4.0 |" in text
