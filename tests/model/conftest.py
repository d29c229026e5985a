from __future__ import annotations

import pytest

from tests.model.kinds import luma
from watson.model.kinds import KINDS


@pytest.fixture
def luma_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the kind of `tests.model.kinds.luma` known for a test."""
    monkeypatch.setitem(KINDS, luma.NAME, luma.MODULE)
