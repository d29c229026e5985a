"""How large the tests of the limits are: reduced in `make test`, whole in `make limits` (``WATSON_LIMITS=full``)."""

from __future__ import annotations

import os

FULL = os.environ.get("WATSON_LIMITS") == "full"

QUEUED = 200_000 if FULL else 15_000
"""Events that wait on each topic of the chain."""

WORK_SECONDS = 90.0 if FULL else 5.0
"""So long a role works on its queue while its memory is watched; it need not come to the end."""

REFERENCES = int(os.environ.get("WATSON_LIMITS_REFERENCES", "1000000" if FULL else "4000"))
"""Entries of the synthetic listing."""
