"""Freezes a real worker inside, without a change to it: a ``sitecustomize.py`` that Python runs before anything else.

After the worker has become ready its consumer's fetch never returns, or never asks for one of its partitions; or its
event loop is blocked. The heartbeats of the consumer's thread go on in any case. That is what a worker looks like that
came out of a rebalance and never consumes again. Each role freezes once: the next process of that role finds the mark
that the first one left.
"""

from __future__ import annotations

import os
from pathlib import Path

_CODE = """
import os, sys
from pathlib import Path

def _freeze():
    sys.path.insert(0, os.getcwd())  # as -m will do it: an installed watson may be that of another checkout
    import asyncio
    from watson.agents.transport.consumer import CorrectedConsumer

    {freeze}

if sys.orig_argv[-2:] == ["worker", {role!r}] and not Path({mark!r}).exists():
    _freeze()
"""

_WAYS = {
    "all": """
    fetch = CorrectedConsumer._drain_once

    async def frozen(self):
        if not self.app.is_ready() or self.assignment() == set():
            return await fetch(self)
        Path({mark!r}).write_text(str(os.getpid()))
        await asyncio.Event().wait()

    CorrectedConsumer._drain_once = frozen
""",
    "partition": """
    active = CorrectedConsumer._get_active_partitions

    def all_but_one(self):
        found = active(self)
        if self.app.is_ready() and found:
            Path({mark!r}).write_text(str(os.getpid()))
            found.difference_update([tp for tp in found if tp.partition == 0])
        return found

    CorrectedConsumer._get_active_partitions = all_but_one
""",
    "loop": """
    import time
    fetch = CorrectedConsumer._drain_once

    async def blocked(self):
        await fetch(self)
        if self.app.is_ready() and self.assignment():
            Path({mark!r}).write_text(str(os.getpid()))
            time.sleep(3600)

    CorrectedConsumer._drain_once = blocked
""",
    "slow": """
    from watson.agents.chain import ChainLink
    emit = ChainLink._emit

    async def late(self, *args):
        await asyncio.sleep(0.5)
        await emit(self, *args)

    ChainLink._emit = late
    Path({mark!r}).write_text(str(os.getpid()))
""",
}


class Freezer:
    """Puts the code where Python finds it. ``environment`` is for the worker, or for who starts it.

    Args:
        folder: the test's.
        role: whose worker freezes.
        way: ``all``: nothing is fetched; ``partition``: nothing of partition 0; ``loop``: the event loop is blocked;
            ``slow``: it only takes its time, with each event.
    """

    def __init__(self, folder: Path, role: str, way: str = "all") -> None:
        self._folder = folder / "freezer"
        self._folder.mkdir()
        self._mark = folder / f"{role}-frozen"
        freeze = _WAYS[way].format(mark=str(self._mark)).strip()
        code = _CODE.format(mark=str(self._mark), role=role, freeze=freeze)
        (self._folder / "sitecustomize.py").write_text(code)

    @property
    def environment(self) -> dict[str, str]:
        before = os.environ.get("PYTHONPATH")
        return {"PYTHONPATH": os.pathsep.join([str(self._folder), *([before] if before else [])])}

    @property
    def frozen(self) -> int | None:
        """Process id of the worker that froze."""
        return int(self._mark.read_text() or 0) or None if self._mark.exists() else None
