"""A list of URIs as a source: text, CSV, JSON lines, and OpenImages' table of image ids."""

from __future__ import annotations

import re
import string
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from hashlib import sha256
from pathlib import PurePosixPath

from watson.errors import Refused, UserError
from watson.sources.formats import CsvRows, Format, LineByLine, json_line, text_line
from watson.sources.listfile import Line, ListFile, lines
from watson.sources.listing import Batch, Entry
from watson.sources.relative import resolve
from watson.sources.uris import FilePlace, S3Place

__all__ = ["OPEN_IMAGES_TEMPLATE", "ListLister", "list_format", "open_images_format"]

OPEN_IMAGES_TEMPLATE = "s3://open-images-dataset/{subset}/{id}.jpg"
"""Source: https://storage.googleapis.com/openimages/web/download_v7.html (CVDF's bucket)."""

_OPEN_IMAGES_COLUMNS = {"id": "ImageID", "subset": "Subset"}
_NAME = re.compile(r"[A-Za-z0-9_.-]+")


class ListLister:
    """Lists what a list file says, in its order.

    The cursor is ``<begin>-<end>-<digest>`` of the last line that was taken. Going on, that line must still be there,
    letter by letter: a list that grew at its end is carried on with, one that was changed before that is refused.
    """

    def __init__(self, file: ListFile, form: Format) -> None:
        self._file = file
        self._format = form

    async def batches(self, cursor: str | None, page_size: int) -> AsyncIterator[Batch]:
        """See `Lister`."""
        try:
            begin = await self._format.begin(self._file)
            source = lines(self._file, begin) if cursor is None else await self._lines_after(cursor)
            entries: list[Entry] = []
            async for entry, last in self._format.entries(source):
                entries.append(entry)
                if len(entries) == page_size:
                    yield Batch(tuple(entries), _cursor(last))
                    entries = []
            if entries:
                yield Batch(tuple(entries), _cursor(last))
        except Refused as exc:
            raise UserError(f"cannot read the list {self._file.name} on: {exc}") from exc

    async def _lines_after(self, cursor: str) -> AsyncIterator[Line]:
        begin = cursor.partition("-")[0]
        if not begin.isdecimal():
            raise UserError(f"{cursor!r} is not a place in {self._file.name}")
        source = lines(self._file, int(begin))
        line = await anext(source, None)
        if line is None or _cursor(line) != cursor:
            raise UserError(f"the list {self._file.name} was changed before the place reached: submit it as a new job")
        return source


def _cursor(line: Line) -> str:
    return f"{line.begin}-{line.end}-{sha256(line.raw).hexdigest()[:16]}"


def list_format(place: FilePlace | S3Place) -> Format:
    """The format by the list's suffix: ``.csv``, ``.jsonl`` or ``.ndjson``, else one URI or path a line."""
    to_uri = partial(resolve, folder=_folder(place))
    match PurePosixPath(_path(place)).suffix.lower():
        case ".csv":
            return CsvRows(("uri",), lambda row: to_uri(_present(row["uri"])))
        case ".jsonl" | ".ndjson":
            return LineByLine(json_line, to_uri)
        case _:
            return LineByLine(text_line, to_uri)


def open_images_format(place: FilePlace | S3Place, template: str | None) -> Format:
    """OpenImages' table (``ImageID,Subset,OriginalURL,…``): each id and subset put into the template.

    Raises:
        UserError: the template has no ``{id}``, or fields that there are not.
    """
    template = OPEN_IMAGES_TEMPLATE if template is None else template
    fields = _template_fields(template)
    return CsvRows([_OPEN_IMAGES_COLUMNS[field] for field in fields], _filled(template, fields, _folder(place)))


def _template_fields(template: str) -> list[str]:
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as exc:
        raise UserError(f"template {template!r}: {exc}") from exc
    fields = sorted({name for _, name, _, _ in parts if name is not None})
    plain = not any(spec or conversion for _, _, spec, conversion in parts)
    if "id" not in fields or not plain or not set(fields) <= set(_OPEN_IMAGES_COLUMNS):
        raise UserError(f"template {template!r}: write {{id}} and, if wanted, {{subset}}, as in {OPEN_IMAGES_TEMPLATE}")
    return fields


def _filled(template: str, fields: list[str], folder: FilePlace | S3Place) -> Callable[[Mapping[str, str]], str]:
    def to_uri(row: Mapping[str, str]) -> str:
        values = {field: row[_OPEN_IMAGES_COLUMNS[field]] for field in fields}
        for field, value in values.items():
            if not _NAME.fullmatch(value):  # an id with a slash in it could lead anywhere
                raise ValueError(f"row has no proper {_OPEN_IMAGES_COLUMNS[field]}")
        return resolve(template.format_map(values), folder)

    return to_uri


def _present(uri: str) -> str:
    if not uri:
        raise ValueError("row has no uri")
    return uri


def _path(place: FilePlace | S3Place) -> str:
    return place.path if isinstance(place, FilePlace) else place.key


def _folder(place: FilePlace | S3Place) -> FilePlace | S3Place:
    folder = _path(place).rpartition("/")[0]
    if isinstance(place, FilePlace):
        return FilePlace(folder or "/")
    return S3Place(place.bucket, f"{folder}/" if folder else "")
