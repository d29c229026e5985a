from __future__ import annotations

import random
from collections import Counter
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.compare.scene import Scene, box
from watson.compare.suggest import Suggestion, choose, suggest
from watson.storage.uncertainty import Doubt


def picture(number: int, value: float, *categories: str) -> Suggestion:
    return Suggestion(UUID(int=number), f"file:///{number}", categories or ("",), Doubt({"unsure": value}, ()))


POOLS = st.lists(st.tuples(st.floats(0.01, 1), st.lists(st.sampled_from("abcd"), min_size=1, max_size=3, unique=True)))


@given(POOLS, st.integers(1, 12), st.randoms(use_true_random=False))
def test_the_choice_is_the_greedy_one_whatever_the_order(pool, number, shuffle: random.Random):
    pictures = [picture(place, value, *categories) for place, (value, categories) in enumerate(pool)]
    counts = Counter(category for one in pictures for category in one.categories)
    chosen = choose(pictures, counts, number)

    def worth(one: Suggestion, taken: Counter[str]) -> float:
        return one.doubt.value * max((1 + counts[c] ** -0.5) / 2 / (1 + taken[c]) ** 0.5 for c in one.categories)

    left, taken, slow = list(pictures), Counter(), []
    while left and len(slow) < number:
        best = max(left, key=lambda one: worth(one, taken))
        slow.append(worth(best, taken))
        same = chosen[len(slow) - 1]  # of equals either may come first; go on with the one that came
        assert worth(same, taken) == pytest.approx(slow[-1])
        taken.update(same.categories)
        left = [one for one in left if one.image_key != same.image_key]
    assert [one.worth for one in chosen] == pytest.approx(slow)
    shuffle.shuffle(pictures)
    assert choose(pictures, counts, number) == chosen


def test_a_second_category_comes_before_more_of_the_first():
    pool = [picture(1, 0.9, "cat"), picture(2, 0.85, "cat"), picture(3, 0.8, "dog")]
    counts = Counter(cat=100, dog=100)
    assert [one.uri[-1] for one in choose(pool, counts, 3)] == ["1", "3", "2"]


def test_of_two_pictures_in_equal_doubt_the_rare_category_comes_first():
    pool = [picture(1, 0.5, "cat"), picture(2, 0.5, "otter")]
    assert choose(pool, Counter(cat=1000, otter=2), 1)[0].uri[-1] == "2"


def test_pictures_without_masks_do_not_fill_the_list():
    pool = [picture(number, 0.5) for number in range(9)] + [picture(9, 0.3, "cat"), picture(10, 0.3, "dog")]
    names = [one.uri.rpartition("/")[2] for one in choose(pool, Counter({"": 9, "cat": 9, "dog": 9}), 4)]
    assert {"9", "10"} <= set(names)


async def test_the_most_doubtful_pictures_of_a_job_are_chosen_with_their_reasons(scene: Scene) -> None:
    await scene.job(
        "one", {"sure": [box("cat", 10, 10, 60, 60, score=1)], "unsure": [box("cat", 10, 10, 60, 60, score=0.2)]}
    )
    await scene.add("one", "kept-out", [box("dog", 0, 0, 9, 9, score=0.3)], keep=[], rejected=1)
    found = await suggest(await scene.side("one"), 10)
    assert [one.uri.rpartition("/")[2] for one in found.chosen] == ["kept-out", "unsure"]
    assert found.images == 3
    assert found.chosen[0].reasons == ("none of 1 masks was let through by the rules",)
    assert found.chosen[1].reasons == ("its 1 masks score 20% on average",)


async def test_no_mask_is_read_without_another_job(scene: Scene) -> None:
    await scene.job("one", {"a": [box("cat", 10, 10, 60, 60, score=0.2)]})
    for file in (scene.root / "objects").rglob("*.gz"):
        file.unlink()
    assert len((await suggest(await scene.side("one"), 1)).chosen) == 1


async def test_where_another_job_disagrees_a_picture_comes_first(scene: Scene) -> None:
    masks = {name: [box("cat", 10, 10, 60, 60, score=0.9)] for name in "abc"}
    await scene.job("one", masks)
    await scene.job("two", {"a": masks["a"], "b": [box("dog", 10, 10, 60, 60)], "d": []})
    found = await suggest(await scene.side("one"), 3, against=await scene.side("two"))
    assert found.chosen[0].uri.endswith("b")
    assert found.chosen[0].reasons[0] == "the jobs disagree by 100%"
    parts = {one.uri[-1]: one.doubt.parts.get("disagreement") for one in found.chosen}
    assert parts == {"a": 0, "b": 1, "c": None}
    assert found.images == 3


async def test_more_are_found_than_are_kept_of_a_category(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("watson.compare.suggest._OF_A_CATEGORY", 2)
    scores = {f"{number}": 0.9 - number / 20 for number in range(8)}
    await scene.job("one", {name: [box("cat", 10, 10, 60, 60, score=score)] for name, score in scores.items()})
    await scene.add("one", "dog", [box("dog", 10, 10, 60, 60, score=0.9)])
    found = await suggest(await scene.side("one"), 6)
    names = [one.uri.rpartition("/")[2] for one in found.chosen]
    assert sorted(set(names) - {"dog"}) == ["3", "4", "5", "6", "7"]
    assert found.coverage == {"dog": (1, 1), "cat": (8, 5)}


async def test_a_rare_category_is_a_reason(scene: Scene) -> None:
    await scene.job("one", {f"{n:03}": [box("cat", 10, 10, 60, 60, score=0.5)] for n in range(100)})
    await scene.add("one", "zoo", [box("otter", 10, 10, 60, 60, score=0.5)])
    found = await suggest(await scene.side("one"), 2)
    assert found.chosen[0].uri.endswith("zoo")
    assert found.chosen[0].reasons[-1] == "otter is in 1 of 101 images"
    assert len(found.chosen[1].reasons) == 1
