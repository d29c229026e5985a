"""What somebody wrote into the form that makes a job: text, field by field, and what of it is no number."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from watson.actions.manifest import Unacceptable, job_options
from watson.events import DEFAULT_MODEL, JobOptions
from watson.web.answers import JobAsked

__all__ = ["Asked"]

_NUMBER = re.compile(r"-?[0-9]{1,9}(\.[0-9]{1,12})?")
_WHOLE = re.compile(r"[0-9]{1,9}")
_DEFAULTS = JobOptions()


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody wants, as they wrote it. The fields of the form have these names."""

    source: str = ""
    kind: str = ""
    template: str = ""
    dataset: str = ""
    job: str = ""
    model: str = DEFAULT_MODEL
    long_side: str = str(_DEFAULTS.long_side)
    least_score: str = str(_DEFAULTS.rules.least_score)
    least_area: str = str(_DEFAULTS.rules.least_area)
    categories: str = ""
    weight: str = str(_DEFAULTS.weight)

    @classmethod
    def of(cls, fields: Mapping[str, str]) -> Asked:
        """From a form; what is missing is as it would be in an empty one."""
        return cls(**{name: fields[name].strip() for name in cls.__slots__ if name in fields})

    def wanted(self) -> tuple[JobAsked, dict[str, str]]:
        """The job that is meant, and what is wrong with its options, by field."""
        problems: dict[str, str] = {}
        wanted = JobAsked(
            source=self.source,
            kind=self.kind or None,
            template=self.template or None,
            dataset=self.dataset,
            job=self.job or None,
            model=self.model,
            options=_options(self, problems),
        )
        return wanted, problems


def _options(asked: Asked, problems: dict[str, str]) -> JobOptions:
    wrong = {
        name: f"{getattr(asked, name)!r} is not a number: write it as 0.25"
        for name in ("least_score", "least_area", "weight")
        if not _NUMBER.fullmatch(getattr(asked, name))
    }
    if not _WHOLE.fullmatch(asked.long_side):
        wrong["long_side"] = f"{asked.long_side!r} is not a whole number of pixels"
    problems.update(wrong)
    if wrong:
        return _DEFAULTS
    categories = list(dict.fromkeys(filter(None, map(str.strip, asked.categories.splitlines()))))
    numbers = float(asked.least_score), float(asked.least_area)
    try:
        return job_options(int(asked.long_side), *numbers, categories or None, float(asked.weight))
    except Unacceptable as exc:
        problems.update(exc.problems)
        return _DEFAULTS
