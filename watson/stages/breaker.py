"""The breaker's arithmetic: when a job's failures are the deployment's fault, and so many that it should pause.

Pure. A job has one number, its *pressure*: each failure that accuses the deployment adds one, each catalogued picture
takes nine off, never below zero. Where more than nine in ten pictures fail so, the pressure grows without bound; where
fewer do, it falls back to zero, however long the job and whatever went well before (a CUSUM control chart). Pictures
that are themselves at fault, truncated for example, tell nothing of the deployment: they neither add nor take off.
"""

# Source: E. S. Page, Continuous Inspection Schemes, Biometrika 41 (1954).

from __future__ import annotations

from watson.stages.discover import Counts

__all__ = ["CATALOGUED_WEIGH", "pressure", "why_paused"]

CATALOGUED_WEIGH = 9
"""Failures that one catalogued picture makes up for: the pressure grows where more than 9 of 10 fail."""


def pressure(before: int, known: Counts, now: Counts) -> int:
    """The pressure after the ledger of a partition went from ``known`` to ``now``; ``before`` and result from 0 on."""
    failed = max(0, now.failures - known.failures)  # it shrinks where one of them was catalogued after all
    catalogued = max(0, now.catalogued - known.catalogued)
    return max(0, before + failed - CATALOGUED_WEIGH * catalogued)


def why_paused(job: str, total: Counts, accusation: str) -> str:
    """What the person reads who finds the job paused: what happened, the newest failure, what to do."""
    newest = f", the newest: {accusation.rstrip('.')}" if accusation else ""
    return (
        f"{total.accused} pictures failed through no fault of their own, and hardly any got through{newest}. "
        f"No further one is sent. Remove the cause, then: watson jobs resume {job}"
    )
