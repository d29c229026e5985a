"""What a run was and what came of it: a table for people, JSON for `tests.chaos.reliability`."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median

__all__ = ["DUPLICATED", "LOST", "Report", "merged"]

LOST = frozenset({"not-discovered", "missing", "object-missing", "row-missing", "letter-row-missing"})
"""Kinds of findings that mean: something is not there that should be."""

DUPLICATED = frozenset({"mask-twice", "row-twice", "both", "contradiction"})
"""Kinds of findings that mean: something is there twice, or is two things."""


@dataclass
class Report:
    """One run. Times in seconds."""

    seed: int
    faults: dict[str, int] = field(default_factory=dict)
    not_injected: int = 0
    images: int = 0
    seconds: float = 0.0
    findings: list[tuple[str, str, str, str]] = field(default_factory=list)
    exits: dict[str, int] = field(default_factory=dict)  # exit code → number
    repeated_records: int = 0
    copied_records: int = 0
    redriven: int = 0
    recovery: dict[str, list[float]] = field(default_factory=dict)  # fault → seconds

    def count(self, kinds: frozenset[str]) -> int:
        """Findings of some kinds."""
        return sum(kind in kinds for kind, *_ in self.findings)

    def write(self, file: Path) -> None:
        """As JSON."""
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def read(cls, file: Path) -> Report:
        """The inverse of `write`."""
        return cls(**json.loads(file.read_text()))

    def __str__(self) -> str:
        late = f" ({self.not_injected} more came after the end)" if self.not_injected else ""
        lost, twice = self.count(LOST), self.count(DUPLICATED)
        ours = f"{self.copied_records} of them by us"
        lines = [
            f"seed {self.seed}: {sum(self.faults.values())} faults in {self.seconds:.0f} s{late}",
            f"  faults      {_listed(self.faults)}",
            f"  images      {self.images}, lost {lost}, duplicated {twice}, findings {len(self.findings)}",
            f"  log         {self.repeated_records} records repeated ({ours}), {self.redriven} images sent again",
            f"  exits       {_listed(self.exits)}",
        ]
        for name, seconds in sorted(self.recovery.items()):
            lines.append(f"  recovery    {name}: median {median(seconds):.1f} s, most {max(seconds):.1f} s")
        for kind, number in Counter(kind for kind, *_ in self.findings).items():
            lines.append(f"  FOUND       {kind}: {number}")
        return "\n".join(lines)


def _listed(numbers: dict[str, int]) -> str:
    return ", ".join(f"{name} {number}" for name, number in sorted(numbers.items())) or "none"


def merged(recoveries: list[tuple[str, float | None]]) -> dict[str, list[float]]:
    """Seconds by fault, without those that could not be measured."""
    by_fault: dict[str, list[float]] = defaultdict(list)
    for name, seconds in recoveries:
        if seconds is not None:
            by_fault[name].append(round(seconds, 1))
    return dict(by_fault)
