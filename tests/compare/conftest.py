from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.compare.scene import Scene, scene_in


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with scene_in(tmp_path) as made:
        yield made
