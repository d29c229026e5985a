"""Which directories of the workers' own disks a source may name (``WATSON_SOURCE_ROOTS``).

Whoever can submit a manifest chooses what is listed and read. A list is read as text: its lines become the addresses of
pictures, and those stand in events, in dead letters and on pages. So a file that holds a secret must not be readable as
a list, nor a directory be listed that is nobody's business.
"""

from __future__ import annotations

import os
from pathlib import Path

from watson.errors import ReasonCode, Refused
from watson.settings import Settings

__all__ = ["allowed_path"]

_SYSTEM = ("/etc", "/proc", "/sys", "/run/secrets", "/var/run/secrets")
"""Never a place of pictures, and often one of secrets: passwords, a process's environment, a pod's tokens."""


def allowed_path(path: str, settings: Settings) -> str:
    """Where a path really leads, links followed, if sources may be there.

    Raises:
        Refused: ``ACCESS_DENIED``: it is outside the roots, whether it exists or not.
    """
    real = Path(os.path.realpath(path))
    if settings.source_roots is None:
        if any(real.is_relative_to(os.path.realpath(place)) for place in _SYSTEM):
            raise Refused(
                ReasonCode.ACCESS_DENIED, f"{path!r} is among the system's own files, which no source may name"
            )
    elif not any(
        real.is_relative_to(os.path.realpath(root)) for root in filter(None, settings.source_roots.split(os.pathsep))
    ):
        why = f"{path!r} is outside the directories that sources may name here (WATSON_SOURCE_ROOTS)"
        raise Refused(ReasonCode.ACCESS_DENIED, why)
    return str(real)
