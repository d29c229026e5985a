from __future__ import annotations

from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watson.export.names import StemRegistry, file_name, readable_stem


@pytest.mark.parametrize(
    ("uri", "stem"),
    [
        ("file:///photos/My%20cat.jpeg", "My_cat"),
        ("s3://bucket/a/100%25.jpg", "100"),
        ("s3://bucket/2026.01.02/street.view.png", "street.view"),
        ("s3://bucket/Ærø fjord.jpg", "Ærø_fjord"),
        ("s3://bucket/no-suffix", "no-suffix"),
        ("file:///photos/..", "picture"),
        ("file:///photos/%2e%2e%2f%2e%2e%2fetc%2fpasswd", "passwd"),
        ("s3://bucket/..\\..\\windows\\evil.jpg", "evil"),
        ("s3://bucket/CON.jpg", "_CON"),
        ("s3://bucket/<script>alert(1)</script>.jpg", "script"),
        ("s3://bucket/.hidden", "hidden"),
    ],
)
def test_a_stem_reads_like_the_original_and_is_safe(uri: str, stem: str) -> None:
    assert readable_stem(uri) == stem


@given(st.text(max_size=300))
def test_no_name_whatever_leads_out_of_the_folder(name: str) -> None:
    stem = readable_stem("s3://bucket/" + name)
    assert 1 <= len(stem.encode()) <= 84
    assert not set(stem) & set('/\\\0:*?"<>|\n')
    assert stem[0] not in ".-"


def test_names_are_those_that_people_know_the_files_by() -> None:
    assert file_name("s3://b/50%20off.jpg") == "50 off.jpg"
    assert file_name("s3://b/a%2520b.jpg") == "a%20b.jpg"
    assert file_name("file:///b/50%20off.jpg") == "50 off.jpg"
    assert file_name("/b/50%20off.jpg") == "50%20off.jpg"


def test_stems_are_unique_without_regard_to_case() -> None:
    first, second, third = (UUID(int=n << 120) for n in (1, 2, 3))
    with StemRegistry() as names:
        assert names.take("a/cat.jpg", first) == "cat"
        assert names.take("b/cat.png", second) == f"cat-{second.hex[:6]}"
        assert names.take("c/Cat.jpg", third) == f"Cat-{third.hex[:6]}"


def test_a_picture_that_comes_twice_is_an_error_and_not_a_lost_file() -> None:
    key = uuid4()
    with StemRegistry() as names:
        for _ in range(4):
            names.take("a/cat.jpg", key)
        with pytest.raises(ValueError, match=str(key)):
            names.take("a/cat.jpg", key)
