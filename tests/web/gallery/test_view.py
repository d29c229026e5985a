from __future__ import annotations

import re
from urllib.parse import urlsplit

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st

from watson.storage.wanted import Order, Wanted
from watson.web.gallery.view import SIZES, View

NAMES = st.text(min_size=1, max_size=8).filter(lambda text: text.isprintable())
BOUNDS = st.floats(0, 1)
WANTED = st.one_of(
    st.just(Wanted(nothing=True)),
    st.builds(
        lambda names, score, area: Wanted(
            categories=tuple(dict.fromkeys(names)),
            least_score=min(score), most_score=max(score), least_area=min(area), most_area=max(area),
        ),
        st.lists(NAMES, max_size=3), st.tuples(BOUNDS, BOUNDS), st.tuples(BOUNDS, BOUNDS),
    ),
)  # fmt: skip
VIEWS = st.builds(
    View,
    wanted=WANTED,
    order=st.sampled_from(Order),
    after=st.none() | st.just("AbC_-"),
    size=st.sampled_from(list(SIZES)),
    drawn=st.booleans(),
    exceptions=st.frozensets(NAMES, max_size=3),
)


def view_at(address: str) -> View:
    return View.of(make_mocked_request("GET", address))


@given(VIEWS)
def test_an_address_gives_the_same_view(view: View) -> None:
    assert view_at(view.address("/jobs/j/gallery")) == view


def test_what_is_as_always_does_not_stand_in_the_address() -> None:
    assert View().address("/jobs/j/gallery") == "/jobs/j/gallery"
    assert View().address("/x", {"gallery": "1"}) == "/x?gallery=1"


def test_what_a_form_sends_empty_is_not_asked_for() -> None:
    sent = "/g?order=&least_score=&most_score=+&least_area=&most_area=&category=&category=cat&category=cat"
    assert view_at(sent) == View(Wanted(categories=("cat",)))


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("least_score=x", "least_score: .*number"),
        ("most_area=1.5", "most_area: .*less than or equal to 1"),
        ("least_score=nan", "least_score"),
        ("least_score=0.9&most_score=0.1", "no mask has both"),
        ("nothing=1&category=cat", "have no masks"),
        ("nothing=yes", "nothing='yes'"),
        ("order=age", "order='age': one of key, uncertainty"),
        ("size=huge", "size='huge': one of small, medium, large"),
        ("masks=2", "masks='2'"),
        ("&".join(f"category={n}" for n in range(21)), "categories: .*20"),
    ],
)
def test_what_makes_no_sense_is_400_with_the_reason(query: str, said: str) -> None:
    with pytest.raises(web.HTTPBadRequest) as caught:
        view_at(f"/g?{query}")
    assert re.search(said, caught.value.text or "")


@pytest.mark.parametrize("view", [View(), View(drawn=False)])
def test_a_category_is_toggled_back_and_forth(view: View) -> None:
    toggled = view.toggled("dog")
    assert [toggled.shows(name) for name in ("cat", "dog")] == [view.drawn, not view.drawn]
    assert toggled.toggled("dog") == view


def test_categories_are_hidden_or_shown_by_the_same_names_in_the_address() -> None:
    assert View().toggled("dog").address("/g") == "/g?hide=dog"
    assert View(drawn=False).toggled("dog").address("/g") == "/g?masks=0&show=dog"


def test_the_page_is_that_of_the_address_alone() -> None:
    assert urlsplit(View(after="x").but(after=None).address("/g")).query == ""
