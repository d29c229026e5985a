"""Which exported programs (``.pt2``) may be loaded: those that hold numbers and the names of known operators alone.

`torch.export.load` of torch 2.15 trusts its file. It unpickles tensors that are marked so, sample inputs and constants,
whatever they hold; it evaluates sizes as Python by way of sympy; it resolves an operator's name to anything reachable
from ``torch``; it loads compiled libraries. Each of these runs code that the file brings. None of them is needed for a
network as `torch.export.save` writes it, so what remains here is what is on a list, and all else is refused or dropped.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from watson.errors import UserError
from watson.model.kinds import archives

__all__ = ["checked"]

_MODEL = "models/model.json"
_SAMPLES = "data/sample_inputs/model.pt"
_CONFIGURATIONS = ("data/weights/model_weights_config.json", "data/constants/model_constants_config.json")
_PLAIN = re.compile(r"data/(?:weights/weight|constants/tensor)_\d+|archive_format|archive_version|byteorder|\.data/\w+")
"""Bytes of tensors, and what says which archive this is."""

_TARGET = re.compile(
    r"torch\.ops\.(?:aten|torchvision)\.(?!__|(?:save|from_file)\b)\w+(?:\.(?!_)\w+)?"
    r"|torch\.sym_(?:float|int|ite|max|min|not|sqrt|sum)"
    r"|math\.(?:ceil|floor|trunc)"
    r"|_operator\.(?:abs|add|and_|eq|floordiv|ge|getitem|gt|le|lt|mod|mul|ne|neg|not_|or_|pow|sub|truediv)"
)
_SYMBOL = re.compile(r"'(?:[a-z]\w*|-?\d+(?:\.\d+)?)'")
_NUMBER = re.compile(r"\b\d+(?:\.\d+)?(?:e-?\d+)?\b")
_WORDS = re.compile(
    r"Symbol|Integer|Rational|Float|Mul|Add|Pow|Max|Min|Abs|Mod|PythonMod|FloorDiv|CleanDiv|CeilDiv|CeilToInt|FloorToInt"
    r"|TruncToInt|RoundToInt|TruncToFloat|ToFloat|IntTrueDiv|FloatTrueDiv|PowByNatural|FloatPow|ModularIndexing|Where"
    r"|Identity|Equality|Unequality|(?:Strict)?(?:Less|Greater)Than|And|Or|Not|Eq|Ne|Lt|Le|Gt|Ge"
    r"|positive|negative|nonnegative|nonzero|integer|finite|real|precision|[Tt]rue|[Ff]alse"
)
_TREES = frozenset({None, "builtins.tuple", "builtins.list", "builtins.dict", "collections.OrderedDict"})
_REFUSED_KEYS = frozenset({"as_operator", "as_custom_obj", "as_opaque_obj"})
_EMPTIED: tuple[tuple[str, str, Any], ...] = (
    ("target", "metadata", {}),
    ("graph", "metadata", {}),
    ("schema_version", "guards_code", []),
)
"""By a neighbour that tells where it is: where the network was written, line by line, and checks of its input as
Python. A network runs without either."""


def checked(path: Path) -> io.BytesIO:
    """Return the archive for `torch.export.load`, without what is not needed.

    Raises:
        UserError: it is no exported program, or holds something that could run code.
    """
    files = archives.entries(path)
    if _MODEL not in files or any(name not in files for name in _CONFIGURATIONS):
        raise UserError(f"{path} is no exported program: make it with torch.export.save of this torch.")
    clean = {name: content for name, content in files.items() if _PLAIN.fullmatch(name)}
    for name in (*_CONFIGURATIONS, _MODEL):
        try:
            content = json.loads(files[name])
            clean[name] = json.dumps(_cleaned(content, name)).encode()
        except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as exc:
            raise UserError(f"{path} is no exported program: {name} in it is no JSON ({exc}).") from exc
        except _NotSafe as exc:
            raise UserError(
                f"{path} is not loaded, because it could run code of its own: {exc}. Export the network with plain "
                "tensors and torch's own operators, or as ONNX."
            ) from exc
    clean[_SAMPLES] = b""  # pickled; the network needs none, the reader wants the file
    return archives.packed(clean)


class _NotSafe(Exception):  # noqa: N818 - named for what it says
    """What in a program is not on the list."""


def _cleaned(value: Any, place: str) -> Any:
    """The same without what is not needed.

    Raises:
        _NotSafe: something is not on the list.
    """
    if isinstance(value, list):
        return [_cleaned(one, place) for one in value]
    if not isinstance(value, dict):
        return value
    emptied = {key: nothing for neighbour, key, nothing in _EMPTIED if neighbour in value and key in value}
    for key, one in value.items():
        _check(key, one, place)
    return {key: emptied[key] if key in emptied else _cleaned(one, place) for key, one in value.items()}


def _check(key: str, value: Any, place: str) -> None:
    if isinstance(value, dict):  # tables of values by their names, which may be any word
        return
    if key == "target" and not (isinstance(value, str) and _TARGET.fullmatch(value)):
        raise _NotSafe(f"{place} uses the operator {str(value)[:100]!r}")
    if key == "expr_str" and not (isinstance(value, str) and _arithmetic(value)):
        raise _NotSafe(f"{place} has a size that is no plain arithmetic: {str(value)[:100]!r}")
    if key == "use_pickle" and value is not False:
        raise _NotSafe(f"{place} has pickled tensors")
    if key == "path_name" and not (isinstance(value, str) and re.fullmatch(r"(?:weight|tensor)_\d+", value)):
        raise _NotSafe(f"{place} has an object that is no tensor: {str(value)[:100]!r}")
    if key in _REFUSED_KEYS:
        raise _NotSafe(f"{place} has an argument that is no number, text or tensor ({key})")
    if key in {"in_spec", "out_spec"} and any(kind not in _TREES for kind in _kinds(value)):
        raise _NotSafe(f"{place} takes or gives objects of other types than tuples, lists and dictionaries")


def _arithmetic(text: str) -> bool:
    """Whether it is calls of known functions on numbers and symbols: no attribute, no index, no text, no other name."""
    rest = _NUMBER.sub(" ", _SYMBOL.sub(" ", text))
    words = re.findall(r"[A-Za-z_]\w*", rest)
    return all(_WORDS.fullmatch(word) for word in words) and re.fullmatch(r"[\w() ,=*/+-]*", rest) is not None


def _kinds(spec: Any) -> Iterator[Any]:
    """The types in a tree as torch writes it: JSON in a text."""
    if spec in {None, ""}:
        return
    _, tree = json.loads(spec)
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node["type"]
        waiting.extend(node["children_spec"])
