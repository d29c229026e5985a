"""The names of ImageNet's classes."""

from __future__ import annotations

import pytest

from watson.model.imagenet import categories


def test_names_are_short_and_each_its_own_whatever_the_capitals() -> None:
    names = categories()
    assert len({name.casefold() for name in names}) == len(names) == 1000
    assert max(map(len, names)) < 40
    assert all(name == name.strip() and "," not in name for name in names)
    assert (names[1], names[285], names[134], names[517]) == (
        "goldfish",
        "Egyptian cat",
        "crane (bird)",
        "crane (machine)",
    )


@pytest.mark.torch
def test_names_are_in_the_order_of_timms_table() -> None:
    from timm.data import ImageNetInfo

    table = ImageNetInfo()
    for index, name in enumerate(categories()):
        words = [word.strip() for word in table.index_to_description(index).split(",")]
        assert name == words[0] or name.split(" (")[0] == words[0] or name in words
