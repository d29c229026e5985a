"""Torch's archives, which are zip files: read whole, and packed again of what was looked at.

Torch reads an archive by other code than Python's. Where the two could be made to see different files in one archive,
it would be no use to look before torch does. So torch gets an archive of what was seen, and nothing else.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

from watson.errors import UserError

__all__ = ["entries", "packed"]

_MOST_INFLATED = 8
_SMALL = 1 << 28
"""Bytes; an archive that is no larger unpacked need not be looked at for how much it grows."""


def entries(path: Path) -> dict[str, bytes]:
    """Return the files in an archive by their paths, without the folder that holds them all.

    Raises:
        UserError: it is no such archive, or grows beyond all measure when unpacked.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            files = archive.infolist()
            if sum(one.file_size for one in files) > max(_SMALL, _MOST_INFLATED * path.stat().st_size):
                raise UserError(f"{path} grows to more than {_MOST_INFLATED} times its size when unpacked.")
            named = {one.filename.partition("/")[2]: archive.read(one) for one in files}
            folders = {one.filename.partition("/")[0] for one in files}
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as exc:
        raise UserError(f"{path} is no archive that torch saved: {exc}") from exc
    except OSError as exc:
        raise UserError(f"{path} cannot be read: {exc.strerror or exc}") from exc
    if len(folders) != 1 or len(named) != len(files):
        raise UserError(f"{path} is no archive that torch saved: its files are not in one folder, each once.")
    return named


def packed(files: Mapping[str, bytes]) -> io.BytesIO:
    """Return an archive of these files, as torch reads it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, content in files.items():
            archive.writestr(f"model/{name}", content)
    buffer.seek(0)
    return buffer
