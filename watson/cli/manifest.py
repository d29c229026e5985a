"""From what a command line says to a manifest: source, options, job id."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from watson.errors import Refused, UserError
from watson.events import JobOptions, ManifestSubmitted, Rules, Source
from watson.events.event import Name
from watson.sources.lists import open_images_format
from watson.sources.uris import FilePlace, HttpPlace, S3Place, parse_uri

__all__ = ["job_options", "make_manifest", "source_of"]

LIST_SUFFIXES = (".txt", ".jsonl", ".ndjson")
_WANTED = "give a directory, s3://bucket/prefix, or a .txt, .csv or .jsonl list of files"
_HEAD_BYTES = 65_536


def source_of(text: str, kind: str | None = None, template: str | None = None) -> Source:
    """The source that a user means by a path or URI.

    Raises:
        UserError: there is no such path, it is no URI that Watson reads, or its kind cannot be told.
    """
    if not text.strip():  # a shell variable that is not set, and not the directory that one happens to be in
        raise UserError(f"the source is empty: {_WANTED}")
    try:
        uri = text if "://" in text else str(Path(text).expanduser().resolve())
        place = parse_uri(uri)
        if isinstance(place, HttpPlace):
            raise UserError(f"source {text!r}: http:// is not supported as a source, but in a list; {_WANTED}")
        source = Source.model_validate({"kind": kind or _kind_of(text, place), "uri": uri, "template": template})
    except RuntimeError as exc:  # pathlib's word for a home that is not known, and for links in a circle
        raise UserError(f"source {text!r}: {exc}") from exc
    except Refused as exc:
        raise UserError(f"source {exc}; {_WANTED}") from exc
    except ValidationError as exc:
        raise UserError(f"source {text!r}: {_problems(exc)}") from exc
    if source.kind == "open-images":
        open_images_format(place, template)  # refuses a template that it cannot fill
    elif template is not None:
        raise UserError(f"--template is for --kind open-images; source {text!r} is of kind {source.kind}")
    return source


def _kind_of(text: str, place: FilePlace | S3Place) -> str:
    if isinstance(place, S3Place):
        return "list" if place.key.lower().endswith((*LIST_SUFFIXES, ".csv")) else "s3"
    path = Path(place.path)
    if path.is_dir():
        return "directory"
    if not path.exists():
        raise UserError(f"there is no {text!r}: {_WANTED}")
    suffix = path.suffix.lower()
    if suffix in LIST_SUFFIXES:
        return "list"
    if suffix == ".csv" and path.is_file():
        with path.open(encoding="utf-8", errors="replace") as lines:
            return "open-images" if lines.readline(_HEAD_BYTES).lstrip("\ufeff").startswith("ImageID") else "list"
    raise UserError(f"{text!r} is one file: give the directory that it is in, or a .txt, .csv or .jsonl list of files")


def make_manifest(source: Source, dataset: str, job: str | None, model: str, options: JobOptions) -> ManifestSubmitted:
    """The manifest; without a job id, one made of what is asked, so that asking twice is the same job.

    Raises:
        UserError: a name is not acceptable.
    """
    _check_name("--dataset", dataset)
    if job is None:
        said = f"{source.model_dump_json()}\n{dataset}\n{model}\n{options.model_dump_json()}"
        job = f"{dataset[:60]}-{hashlib.sha256(said.encode()).hexdigest()[:8]}"
    _check_name("--job", job)
    try:
        return ManifestSubmitted(job=job, dataset=dataset, source=source, model=model, options=options)
    except ValidationError as exc:
        raise UserError(f"the manifest is not acceptable: {_problems(exc)}") from exc


def _check_name(option: str, name: str) -> None:
    try:
        TypeAdapter(Name).validate_python(name)
    except ValidationError as exc:
        raise UserError(
            f"{option} {name!r}: a name is 1 to 100 letters, digits, '.', '_' and '-', and begins with a letter "
            "or a digit"
        ) from exc


def job_options(
    long_side: int, least_score: float, least_area: float, categories: list[str] | None, weight: float = 1.0
) -> JobOptions:
    """The options that a command line says.

    Raises:
        UserError: one is out of its range.
    """
    wanted = tuple(categories) if categories else None
    try:
        rules = Rules(least_score=least_score, least_area=least_area, categories=wanted)
        return JobOptions(long_side=long_side, weight=weight, rules=rules)
    except ValidationError as exc:
        raise UserError(_problems(exc)) from exc


def _problems(exc: ValidationError) -> str:
    return "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in exc.errors(include_url=False))
