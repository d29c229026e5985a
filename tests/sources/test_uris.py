from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watson.errors import ReasonCode, Refused
from watson.events import Original
from watson.sources.uris import MAX_URI, FilePlace, S3Place, canonical, file_uri, parse_uri, s3_uri, unreadable_uri

NAMES = st.binary(min_size=1, max_size=40).filter(lambda b: not {b"/"[0], 0} & set(b) and b not in {b".", b".."})
PATHS = st.lists(NAMES, min_size=1, max_size=5).map(lambda parts: b"/" + b"/".join(parts))
KEYS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60).filter(
    lambda key: not {".", ".."} & set(key.split("/"))
)
BUCKETS = st.from_regex(r"[a-z0-9][a-z0-9.-]{1,20}[a-z0-9]", fullmatch=True).filter(lambda name: ".." not in name)


@given(PATHS)
def test_any_file_name_round_trips(path: bytes) -> None:
    uri = file_uri(path)
    assert parse_uri(uri) == FilePlace(os.fsdecode(path))
    assert canonical(parse_uri(uri)) == uri
    assert uri.isascii()
    assert uri.isprintable()


@given(PATHS, PATHS)
def test_two_files_never_share_a_uri(one: bytes, other: bytes) -> None:
    assert (file_uri(one) == file_uri(other)) == (one == other)


@given(BUCKETS, KEYS)
def test_any_key_round_trips(bucket: str, key: str) -> None:
    uri = s3_uri(bucket, key)
    assert parse_uri(uri) == S3Place(bucket, key)
    assert canonical(parse_uri(uri)) == uri
    assert not set(uri) & set("\t\n\r ")


@given(st.text(max_size=80))
def test_whatever_is_parsed_has_one_canonical_spelling(text: str) -> None:
    for uri in (f"s3://bucket/{text}", f"file:///{text}", f"/{text}"):
        try:
            place = parse_uri(uri)
        except Refused:
            continue
        assert parse_uri(canonical(place)) == place


@given(st.text(max_size=3000) | st.binary(max_size=3000))
def test_an_unreadable_entry_fits_into_an_event_and_is_refused_with_its_reason(text: str | bytes) -> None:
    uri = unreadable_uri("line is not JSON", text)
    Original.model_validate_json(Original(uri=uri).model_dump_json())
    with pytest.raises(Refused, match="line is not JSON") as caught:
        parse_uri(uri)
    assert caught.value.code is ReasonCode.SOURCE_INVALID


def test_long_unreadable_texts_that_differ_at_their_end_differ() -> None:
    assert unreadable_uri("why", "x" * 9000 + "a") != unreadable_uri("why", "x" * 9000 + "b")


@pytest.mark.parametrize("path", ["/a/b c.jpg", "/ä/日本.png", "/100%/x#y?z.jpg", "/a\nb"])
def test_file_uris_are_those_of_pathlib_and_urllib(path: str) -> None:
    assert file_uri(path) == Path(path).as_uri()
    assert urlsplit(file_uri(path)).fragment == ""


@pytest.mark.parametrize(
    ("key", "uri"),
    [
        ("a/b.jpg", "s3://b/a/b.jpg"),
        ("a b%20c", "s3://b/a%20b%2520c"),
        ("ä/日本 ?#&+", "s3://b/ä/日本%20?#&+"),
        ("a\nb\x7f", "s3://b/a%0Ab%7F"),
        ("/a//b/", "s3://b//a//b/"),
        ("a/../b", "s3://b/a/../b"),
    ],
)
def test_the_spelling_of_keys_is_fixed(key: str, uri: str) -> None:
    assert s3_uri("b", key) == uri


@pytest.mark.parametrize(
    ("uri", "place"),
    [
        ("s3://b/100%", S3Place("b", "100%")),
        ("s3://b/%zz%41", S3Place("b", "%zzA")),
        ("S3://b/k", S3Place("b", "k")),
        ("s3://b", S3Place("b", "")),
        ("file://localhost/a", FilePlace("/a")),
        ("file:///a/./b/../c/", FilePlace("/a/c")),
        ("//a///b", FilePlace("/a/b")),
        ("/a%20b", FilePlace("/a%20b")),
        ("file:///%FF", FilePlace("/\udcff")),
    ],
)
def test_what_people_write_is_understood(uri: str, place: FilePlace | S3Place) -> None:
    assert parse_uri(uri) == place


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("", "neither a URI nor an absolute path"),
        ("a/b.jpg", "neither a URI nor an absolute path"),
        ("ftp://x/y.jpg", "scheme ftp:// is not supported"),
        ("javascript://x/y.jpg", "scheme javascript:// is not supported"),
        ("https://me:secret@x/y.jpg", "with a user or password"),
        ("https:///y.jpg", "names no host"),
        ("http://x:0/y", "names no host"),
        ("http://x:99999/y", "names no host"),
        ("http://x\\@y/", "with a user or password"),
        ("http://x y/", "names no host"),
        ("http://[::1/", "names no host"),
        ("http://bücher.example/", "xn--"),
        ("http://x/\ud800", "not valid Unicode"),
        ("s3:///key", "names no bucket"),
        ("s3://b/%FF", "a key is UTF-8"),
        ("s3://../x", "names no bucket: '..' can be none"),
        ("s3://a..b/x", "can be none"),
        ("s3://arn:aws:s3:us-west-2:123456789012:accesspoint:mine/x", "nor is an ARN one"),
        ("s3://a@b/x", "can be none"),
        ("s3://bbb/../other/x", "a key with . or .. between slashes"),
        ("s3://bbb/a/%2E%2E/x", "a key with . or .. between slashes"),
        ("s3://bbb/.", "a key with . or .. between slashes"),
        ("file://host/a", "without a host"),
        ("file://a", "without a host"),
        ("file:///a%00b", "NUL"),
        ("/a\0b", "NUL"),
        ("/\ud800", "not valid Unicode"),
    ],
)
def test_what_points_nowhere_is_refused_with_the_reason(uri: str, said: str) -> None:
    with pytest.raises(Refused, match=said) as caught:
        parse_uri(uri)
    assert caught.value.code is ReasonCode.SOURCE_INVALID
    str(caught.value).encode()


def test_a_path_too_long_for_an_event_becomes_unreadable_and_is_not_lost() -> None:
    uri = file_uri("/" + "é/" * 1500)
    assert len(uri) <= MAX_URI
    Original(uri=uri)
    with pytest.raises(Refused, match="more than 8192"):
        parse_uri(uri)
