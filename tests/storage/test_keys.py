"""A key is a path below the directory of a store, another one for each key, and never one outside."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from watson.errors import Refused
from watson.storage.directory import DirectoryObjectStore
from watson.storage.keys import MASKS_KEY, PICTURE_KEY, checked_key

PARTS = st.sampled_from(
    ["", ".", "..", "a", "A", "a.", " ", "%2e%2e", "\\", "é", "e\u0301", "\u202e", "~", "C:"]
) | st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
KEYS = st.lists(PARTS, min_size=1, max_size=5).map("/".join)
ROOT = Path("/srv/objects")
STORE = DirectoryObjectStore(ROOT)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(KEYS)
def test_a_key_is_a_path_below_the_root_that_leads_back_to_the_key_or_it_is_refused(key: str) -> None:
    try:
        path = STORE._path(key)
    except Refused:
        return
    assert path.is_relative_to(ROOT)
    assert path != ROOT
    assert Path(os.path.normpath(path)) == path
    assert os.path.relpath(path, ROOT) == key  # so two keys never share a path
    assert len(os.fsencode(path.name)) <= 255


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.text(max_size=40), st.text(max_size=4))
def test_only_keys_as_watson_writes_them_match_its_patterns(middle: str, end: str) -> None:
    for key in (f"preprocessed/{middle}/{'a' * 64}.jpg{end}", f"masks/{middle}.json.gz{end}", middle):
        if PICTURE_KEY.fullmatch(key) or MASKS_KEY.fullmatch(key):
            assert checked_key(key) == key or ".." in key.split("/")
            assert key.endswith((".jpg", ".png", ".json.gz"))
