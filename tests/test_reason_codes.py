"""The page on reason codes and the code agree."""

from __future__ import annotations

import re
from pathlib import Path

from watson.errors import ReasonCode

PAGE = Path(__file__).parents[1] / "docs" / "reason-codes.md"
ROWS = dict(re.findall(r"^\| `([a-z-]+)` \|.*\| (yes|no) \|$", PAGE.read_text("utf-8"), re.MULTILINE))


def test_the_page_describes_exactly_the_codes_that_exist() -> None:
    assert set(ROWS) == {code.value for code in ReasonCode}


def test_the_page_says_which_codes_accuse_the_deployment() -> None:
    said = PAGE.read_text("utf-8").split("## Whose fault it is")[1].split("The others")[0]
    accusing = {code.value for code in ReasonCode if code.accuses_deployment}
    assert set(re.findall(r"`([a-z-]+)`", said)) & set(ROWS) == accusing


def test_the_page_says_which_causes_pass() -> None:
    assert {code.value: "yes" if code.passes else "no" for code in ReasonCode} == ROWS
