"""From the setting to the catalogue that it names."""

from __future__ import annotations

from pathlib import Path

from watson.errors import UserError
from watson.settings import Settings
from watson.storage.catalogue import Catalogue
from watson.storage.sqlite import SqliteCatalogue

__all__ = ["catalogue"]

_FORMS = "sqlite:PATH or cassandra://host[,host][:port]/keyspace"


def catalogue(settings: Settings) -> Catalogue:
    """The catalogue named by ``settings.catalogue``; connects to nothing yet.

    Raises:
        UserError: the setting is in none of the two forms.
    """
    scheme, _, rest = settings.catalogue.partition(":")
    if scheme == "sqlite" and rest and not rest.startswith("//"):
        try:
            return SqliteCatalogue(Path(rest).expanduser())
        except RuntimeError as exc:  # pathlib's word for a home that is not known
            raise UserError(f"WATSON_CATALOGUE is {settings.catalogue!r}: {exc}") from exc
    if scheme == "cassandra":
        return _cassandra(settings)
    raise UserError(f"WATSON_CATALOGUE is {settings.catalogue!r}: it must be {_FORMS}.")


def _cassandra(settings: Settings) -> Catalogue:
    # Imported here: the driver takes a third of a second, and the embedded mode has no use for it.
    from cassandra import DependencyException  # noqa: PLC0415 - see above

    try:
        from watson.storage.cassandra import CassandraCatalogue  # noqa: PLC0415 - see above
    except DependencyException as exc:
        raise UserError(
            "cassandra-driver was built without libev, and this Python has no asyncore (3.12 and newer): install a "
            "binary wheel of cassandra-driver, or libev's headers before building it."
        ) from exc
    return CassandraCatalogue(settings)
