"""Which directories of the workers' own disks a source may name (``WATSON_SOURCE_ROOTS``).

Whoever can submit a manifest chooses what is listed and read. A list is read as text: its lines become the addresses of
pictures, and those stand in events, in dead letters and on pages. So a file that holds a secret must not be readable as
a list, nor a directory be listed that is nobody's business.
"""

from __future__ import annotations

import fcntl
import os
import sys
from pathlib import Path

from watson.errors import ReasonCode, Refused
from watson.settings import Settings

__all__ = ["allowed_path", "check_opened"]

_SYSTEM = ("/etc", "/proc", "/sys", "/run/secrets", "/var/run/secrets")
"""Never a place of pictures, and often one of secrets: passwords, a process's environment, a pod's tokens."""


def allowed_path(path: str, settings: Settings) -> str:
    """Where a path really leads, links followed, if sources may be there.

    Raises:
        Refused: ``ACCESS_DENIED``: it is outside the roots, whether it exists or not.
    """
    real = Path(os.path.realpath(path))
    _check(path, real, settings)
    return str(real)


def check_opened(path: str, descriptor: int, settings: Settings, within: str | None = None) -> None:
    """Make sure that what was opened is where sources may be.

    Whoever may write to a directory can swap a file or a folder for a link between the look and the opening. So the
    system is asked where the file is that was opened, which no swap changes.

    Args:
        path: as it was named, for the message.
        descriptor: the open file.
        settings: ``source_roots``.
        within: a directory in which it must be, besides.

    Raises:
        Refused: ``ACCESS_DENIED``.
    """
    real = Path(_path_of(descriptor))
    _check(path, real, settings)
    if within is not None and not real.is_relative_to(os.path.realpath(within)):
        raise Refused(ReasonCode.ACCESS_DENIED, f"{path!r} leads out of the source's directory {within!r} by a link")


def _path_of(descriptor: int) -> str:
    """Where an open file is, without links; on Linux followed by `` (deleted)`` if it was deleted just now."""
    if sys.platform == "darwin":
        return os.fsdecode(fcntl.fcntl(descriptor, fcntl.F_GETPATH, bytes(1024)).rstrip(b"\0"))
    return str(Path(f"/proc/self/fd/{descriptor}").readlink())


def _check(path: str, real: Path, settings: Settings) -> None:
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
