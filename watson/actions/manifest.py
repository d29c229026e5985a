"""From what a command line or a form says to a manifest: source, options, job id."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from watson.errors import Refused, UserError, problems_of
from watson.events import JobOptions, ManifestSubmitted, Source
from watson.events.event import Name
from watson.sources.lists import open_images_format
from watson.sources.uris import FilePlace, HttpPlace, S3Place, parse_uri

__all__ = ["Unacceptable", "check_names", "is_name", "job_options", "make_manifest", "name_of_question", "source_of"]

LIST_SUFFIXES = (".txt", ".jsonl", ".ndjson")
_WANTED = "give a directory, s3://bucket/prefix, or a .txt, .csv or .jsonl list of files"
_HEAD_BYTES = 65_536


class Unacceptable(UserError):  # noqa: N818 - says what was said
    """Something of what a person wants of a job cannot be.

    Attributes:
        problems: what is wrong, by what it is wrong with: source, kind, template, dataset, job, model, or an option's
            name.
    """

    def __init__(self, problems: Mapping[str, str], said: str | None = None) -> None:
        self.problems = dict(problems)
        super().__init__(said or "; ".join(self.problems.values()))

    @classmethod
    def by_field(cls, exc: ValidationError, said: str = "") -> Unacceptable:
        """What pydantic refused; each problem under the name of its field."""
        problems: dict[str, str] = {}
        for error in exc.errors(include_url=False):
            name = next((part for part in reversed(error["loc"]) if isinstance(part, str)), "")
            problems.setdefault(name, error["msg"])
        return cls(problems, said + "; ".join(problems_of(exc)))


def source_of(text: str, kind: str | None = None, template: str | None = None) -> Source:
    """The source that a user means by a path or URI.

    Raises:
        Unacceptable: there is no such path, it is no URI that Watson reads, or its kind cannot be told.
    """
    if not text.strip():  # a shell variable that is not set, and not the directory that one happens to be in
        raise _wrong_source(f"the source is empty: {_WANTED}")
    try:
        uri = text if "://" in text else str(Path(text).expanduser().resolve())
        place = parse_uri(uri)
        if isinstance(place, HttpPlace):
            raise _wrong_source(f"source {text!r}: http:// is not supported as a source, but in a list; {_WANTED}")
        source = Source.model_validate({"kind": kind or _kind_of(text, place), "uri": uri, "template": template})
    except RuntimeError as exc:  # pathlib's word for a home that is not known, and for links in a circle
        raise _wrong_source(f"source {text!r}: {exc}") from exc
    except Refused as exc:
        raise _wrong_source(f"source {exc}; {_WANTED}") from exc
    except ValidationError as exc:
        raise Unacceptable.by_field(exc, f"source {text!r}: ") from exc
    if source.kind == "open-images":
        _check_template(place, template)
    elif template is not None:
        why = f"--template is for --kind open-images; source {text!r} is of kind {source.kind}"
        raise Unacceptable({"template": why})
    return source


def _check_template(place: FilePlace | S3Place, template: str | None) -> None:
    try:
        open_images_format(place, template)
    except UserError as exc:
        raise Unacceptable({"template": str(exc)}) from exc


def _wrong_source(why: str) -> Unacceptable:
    return Unacceptable({"source": why})


def _kind_of(text: str, place: FilePlace | S3Place) -> str:
    if isinstance(place, S3Place):
        return "list" if place.key.lower().endswith((*LIST_SUFFIXES, ".csv")) else "s3"
    path = Path(place.path)
    if path.is_dir():
        return "directory"
    if not path.exists():
        raise _wrong_source(f"there is no {text!r}: {_WANTED}")
    suffix = path.suffix.lower()
    if suffix in LIST_SUFFIXES:
        return "list"
    if suffix == ".csv" and path.is_file():
        with path.open(encoding="utf-8", errors="replace") as lines:
            return "open-images" if lines.readline(_HEAD_BYTES).lstrip("\ufeff").startswith("ImageID") else "list"
    why = f"{text!r} is one file: give the directory that it is in, or a .txt, .csv or .jsonl list of files"
    raise _wrong_source(why)


def make_manifest(source: Source, dataset: str, job: str | None, model: str, options: JobOptions) -> ManifestSubmitted:
    """The manifest; without a job id, one made of what is asked, so that asking twice is the same job.

    Raises:
        Unacceptable: a name is not acceptable.
    """
    check_names(dataset=dataset, **({} if job is None else {"job": job}))
    if job is None:
        said = f"{source.model_dump_json()}\n{dataset}\n{model}\n{options.model_dump_json()}"
        job = name_of_question(dataset, said)
    try:
        return ManifestSubmitted(job=job, dataset=dataset, source=source, model=model, options=options)
    except ValidationError as exc:
        raise Unacceptable.by_field(exc, "the manifest is not acceptable: ") from exc


def check_names(**names: str) -> None:
    """See that datasets, jobs, … can have these names.

    Raises:
        Unacceptable: some cannot.
    """
    wrong = {field: repr(name) for field, name in names.items() if not is_name(name)}
    if wrong:
        why = "a name is 1 to 100 letters, digits, '.', '_' and '-', and begins with a letter or a digit"
        said = "; ".join(f"--{field} {name}: {why}" for field, name in wrong.items())
        raise Unacceptable({field: f"{name}: {why}" for field, name in wrong.items()}, said)


def is_name(text: str) -> bool:
    """Whether events take it for the name of a job, dataset, model or training."""
    try:
        TypeAdapter(Name).validate_python(text)
    except ValidationError:
        return False
    return True


def name_of_question(about: str, said: str) -> str:
    """The same question has the same name: some of what it is about, and 8 digits of a hash of all that is asked."""
    return f"{about[:60]}-{hashlib.sha256(said.encode()).hexdigest()[:8]}"


def job_options(
    long_side: int, least_score: float, least_area: float, categories: list[str] | None, weight: float = 1.0
) -> JobOptions:
    """The options that a command line says.

    Raises:
        Unacceptable: one is out of its range.
    """
    wanted = tuple(categories) if categories else None
    try:
        rules = {"least_score": least_score, "least_area": least_area, "categories": wanted}
        return JobOptions.model_validate({"long_side": long_side, "weight": weight, "rules": rules})
    except ValidationError as exc:
        raise Unacceptable.by_field(exc) from exc
