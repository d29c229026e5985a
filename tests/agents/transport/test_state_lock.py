"""One worker a state directory."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from watson.agents.transport.state_lock import StateLock
from watson.errors import UserError


def test_a_second_worker_is_told_whose_the_directory_is(tmp_path: Path) -> None:
    first, second = StateLock(tmp_path / "segment"), StateLock(tmp_path / "segment", patience=0.2)
    first.acquire()
    with pytest.raises(UserError, match=rf"in use by another worker \(process {os.getpid()}\).*WATSON_STATE_DIR"):
        second.acquire()
    first.release()


def test_it_is_free_again_when_released(tmp_path: Path) -> None:
    for _ in range(2):
        lock = StateLock(tmp_path, patience=0.2)
        lock.acquire()
        lock.release()
