"""``python -m tests.chaos.worker ROLE``: a worker with a guarantee taken out, or with a slow producer.

What is taken out stands in WATSON_CHAOS_MUTANTS (names from `tests.chaos.mutants`, comma-separated), in which roles in
WATSON_CHAOS_ROLES. WATSON_CHAOS_HELD holds every fourth emission of `segment` back for so many seconds, so that a kill
meets emissions under way.
"""

from __future__ import annotations

import os
import sys

from tests.chaos.mutants import MUTANTS, hold_emissions
from watson.settings import load_settings
from watson.worker import run_worker


def main(role: str) -> int:
    if role == "segment":  # first: what a mutant does before it emits is not to be held back
        hold_emissions(float(os.environ.get("WATSON_CHAOS_HELD", "0")))
    if role in os.environ.get("WATSON_CHAOS_ROLES", "").split(","):
        for name in filter(None, os.environ.get("WATSON_CHAOS_MUTANTS", "").split(",")):
            MUTANTS[name]()
    return run_worker(role, load_settings())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
