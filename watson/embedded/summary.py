"""What a run did, for people and for machines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from watson.export.dataset import ExportSummary
from watson.logs import printable
from watson.storage.catalogue import JobRow

__all__ = ["RunSummary"]

_CATEGORIES_SHOWN = 10


@dataclass(frozen=True, slots=True)
class RunSummary:
    """The ledger of a run: discovered = catalogued + quarantined.

    Attributes:
        quarantined_by_reason: reason code → number of pictures.
        quarantined_files: reason code → names of the first few.
        categories: name → number of masks, most first.
        seconds: from the call to the gallery.
    """

    job: str
    dataset: str
    model: str
    discovered: int
    catalogued: int
    quarantined: int
    quarantined_by_reason: Mapping[str, int]
    quarantined_files: Mapping[str, list[str]]
    masks: int
    categories: Mapping[str, int]
    seconds: float
    out: Path
    gallery: Path

    @classmethod
    def of(cls, row: JobRow, export: ExportSummary, seconds: float) -> RunSummary:
        """Put together what the catalogue and the export say."""
        return cls(
            job=row.job.job,
            dataset=row.job.dataset,
            model=row.job.model,
            discovered=row.counts.get("discovered", 0),
            catalogued=export.pictures,
            quarantined=export.quarantined,
            quarantined_by_reason=export.reasons,
            quarantined_files=export.quarantined_files,
            masks=export.masks,
            categories=export.categories,
            seconds=round(seconds, 2),
            out=export.out,
            gallery=export.gallery,
        )

    def to_json(self) -> dict[str, Any]:
        """As ``--json`` prints it."""
        return {**asdict(self), "out": str(self.out), "gallery": str(self.gallery)}

    def show(self, console: Console) -> None:
        """Print it for people."""
        lines = Table(show_header=False, box=None, pad_edge=False)
        lines.add_column(justify="right", style="bold")
        lines.add_column()
        lines.add_row(f"{self.discovered:,}", f"pictures discovered, in {self.seconds:.1f} s")
        if not self.discovered:
            lines.add_row("", "  the source holds no file: nothing was there to segment")
        lines.add_row(f"{self.catalogued:,}", "catalogued")
        lines.add_row(f"{self.quarantined:,}", "quarantined" + (":" if self.quarantined else ""))
        for reason, count in self.quarantined_by_reason.items():
            files = self.quarantined_files.get(reason, [])
            more = f" and {count - len(files)} more" if count > len(files) else ""
            lines.add_row("", f"  {reason}: {escape(printable(', '.join(files)))}{more}")
        lines.add_row(f"{self.masks:,}", f"masks in {len(self.categories):,} categories" + (":" if self.masks else ""))
        top = list(self.categories.items())[:_CATEGORIES_SHOWN]
        rest = len(self.categories) - len(top)
        if top:
            names = ", ".join(f"{name} {count:,}" for name, count in top) + (f" and {rest:,} more" if rest else "")
            lines.add_row("", f"  {escape(printable(names))}")
        console.print()
        console.print(lines)
        # The path stands alone on its line, never broken, so that it can be copied.
        console.print("\nGallery:", style="bold")
        console.print(f"{self.gallery.resolve().as_uri()}", markup=False, highlight=False, soft_wrap=True)
