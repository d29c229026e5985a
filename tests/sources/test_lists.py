from __future__ import annotations

import os
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.sources.conftest import Put, listing, uris
from watson.errors import ReasonCode, Refused, Retriable, UserError
from watson.events import Original, Source
from watson.settings import Settings
from watson.sources import Reader, open_source
from watson.sources.listfile import BLOCK, LONGEST_LINE, Line, lines
from watson.sources.lists import OPEN_IMAGES_TEMPLATE
from watson.sources.uris import parse_uri


def written(tmp_path: Path, name: str, text: str | bytes) -> Source:
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    kind = "open-images" if name.startswith("ids") else "list"
    return Source(kind=kind, uri=str(path))  # type: ignore[arg-type]  # one of the two


async def refusals(found: list[str]) -> list[str]:
    """What preprocess will say of each."""
    said = []
    for uri in found:
        Original(uri=uri)
        with pytest.raises(Refused) as caught:
            parse_uri(uri)
        assert caught.value.code is ReasonCode.SOURCE_INVALID
        said.append(str(caught.value))
    return said


async def test_a_text_list_has_uris_paths_and_comments(tmp_path: Path) -> None:
    text = "\ufeff# pictures\n\ns3://b/a b.jpg\r\n  /abs/ä%20.jpg  \nrel/x.jpg\n../up.jpg\nfile:///f%20g\n./#1.jpg"
    found = await uris(written(tmp_path, "list.txt", text), Settings())
    assert found == [
        "s3://b/a%20b.jpg",
        "file:///abs/%C3%A4%2520.jpg",
        (tmp_path / "rel/x.jpg").as_uri(),
        (tmp_path.parent / "up.jpg").as_uri(),
        "file:///f%20g",
        (tmp_path / "#1.jpg").as_uri(),
    ]


async def test_a_name_that_is_not_utf8_in_a_text_list_is_found(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"\xff.jpg")).write_bytes(b"x")
    [uri] = await uris(written(tmp_path, "list.txt", b"\xff.jpg\n"), Settings())
    async with Reader(Settings()) as reader:
        assert await reader.read(uri, 9) == b"x"


async def test_lines_that_mean_nothing_end_in_quarantine_each_on_its_own(tmp_path: Path) -> None:
    text = b"ftp://x/y.jpg\ns3:///k\nfile://host/x\nhttps://\xff\n" + b"x" * 9000 + b"1\n" + b"x" * 9000 + b"2\na\0b"
    found = await uris(written(tmp_path, "list.txt", b"#" * 5000 + b"\n" + text), Settings())
    assert len(set(found)) == 7
    assert found[0] == "ftp://x/y.jpg"
    said = await refusals(found)
    assert "scheme ftp:// is not supported" in said[0]
    assert "names no bucket" in said[1]
    assert "without a host" in said[2]
    assert "https://\\xff" in said[3] or "https://" in said[3]
    assert "more than 8192" in said[4]
    assert "NUL" in said[6]


async def test_a_json_list_takes_the_member_uri_and_quarantines_what_has_none(tmp_path: Path) -> None:
    text = (
        '{"uri": "s3://b/k", "label": 1}\n\n{"uri": "x y"}\nnot json\n["uri"]\n{"url": "x"}\n{"uri": 3}\n{"uri": ""}\n'
    )
    found = await uris(written(tmp_path, "list.jsonl", text), Settings())
    assert found[:2] == ["s3://b/k", (tmp_path / "x y").as_uri()]
    said = await refusals(found[2:])
    assert "line is not JSON: not json" in said[0]
    assert all('no member "uri"' in text for text in said[1:])
    assert len(found) == 7


async def test_a_csv_list_takes_the_column_uri_wherever_it_is(tmp_path: Path) -> None:
    text = 'title, uri ,n\r\n"a, ""b""\r\nc",s3://b/1,1\r\n\r\nd, s3://b/2 ,2\r\n"e","s3://b/3"'
    assert await uris(written(tmp_path, "list.csv", text), Settings()) == [f"s3://b/{n}" for n in (1, 2, 3)]


async def test_a_bad_csv_row_costs_no_other_row(tmp_path: Path) -> None:
    rows = [
        "uri,title",
        "s3://b/1,x",
        's3://b/2,"never closed',
        "s3://b/3,x",
        '"s3://b/4"x,y',
        "s3://b/5",
        ",x",
        "s3://b/6,",
    ]
    found = await uris(written(tmp_path, "list.csv", "\n".join(rows)), Settings())
    good = [uri for uri in found if uri.startswith("s3:")]
    assert good == [f"s3://b/{n}" for n in (1, 3, 5, 6)]
    said = await refusals([uri for uri in found if uri not in good])
    assert [text.split(": ", 1)[1] for text in said] == [
        'row is not CSV (quotes do not match, or too long): s3://b/2,"never closed',
        'row is not CSV (quotes do not match, or too long): "s3://b/4"x,y',
        "row has no uri: ,x",
    ]


async def test_an_overlong_line_is_quarantined_and_the_next_is_read(tmp_path: Path) -> None:
    for name, head in (("list.txt", ""), ("list.csv", "uri\n"), ("list.jsonl", "")):
        good = '{"uri": "s3://b/k"}' if name.endswith("jsonl") else "s3://b/k"
        text = (
            f"{head}{good}1\n{'x' * (2 * BLOCK + 5)}\n{good}"
            if not head
            else f"{head}{good}\n{'x' * 2 * BLOCK}\n{good}"
        )
        found = await uris(written(tmp_path, name, text), Settings())
        assert len(found) == 3
        assert found[2] == "s3://b/k"
        assert len(await refusals(found[1:2])) == 1


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("list.csv", "url,title\nx,y", "has no column uri; its columns: url, title"),
        ("list.csv", "", "is empty: a CSV list begins with a header that names uri"),
        ("list.csv", "\n\n", "is empty"),
        ("list.csv", '"open', "has no column uri; its columns: none that can be read"),
        ("ids.csv", "ImageID,URL\nx,y", "has no column Subset"),
        ("ids.csv", "uri\n", "has no column ImageID and no column Subset"),
        ("list.txt", b"\xff\xfea\0b\0", "not plain text in UTF-8"),
        ("list.txt", b"\x1f\x8b\x08\x08", "not plain text in UTF-8"),
        ("list.jpg", b"\xff\xd8\xff\xe0\0\x10JFIF\0", "not plain text in UTF-8"),
    ],
)
async def test_a_list_that_is_none_is_a_users_error_that_names_it(
    tmp_path: Path, name: str, text: str | bytes, said: str
) -> None:
    with pytest.raises(UserError, match=f"{(tmp_path / name).as_uri()}.*{said}"):
        await listing(written(tmp_path, name, text), Settings())


@pytest.mark.parametrize("name", ["list.txt", "list.jsonl"])
async def test_an_empty_list_has_no_entries(tmp_path: Path, name: str) -> None:
    assert await listing(written(tmp_path, name, ""), Settings()) == []


async def test_a_pipe_or_directory_is_no_list_and_nobody_waits_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path):
        with pytest.raises(UserError, match="not a file"):
            await listing(Source(kind="list", uri=str(path)), Settings())


class TestOpenImages:
    HEADER = "ImageID,Subset,OriginalURL,Title\n"

    async def test_ids_become_uris_of_the_public_bucket(self, tmp_path: Path) -> None:
        text = self.HEADER + '000002b66c9c498e,train,https://x,"A ""title"", two"\n0001eeaf4aed83f9,validation,,\n'
        found = await uris(written(tmp_path, "ids.csv", text), Settings())
        assert found == [
            "s3://open-images-dataset/train/000002b66c9c498e.jpg",
            "s3://open-images-dataset/validation/0001eeaf4aed83f9.jpg",
        ]
        assert OPEN_IMAGES_TEMPLATE == "s3://open-images-dataset/{subset}/{id}.jpg"

    @pytest.mark.parametrize(
        ("template", "uri"), [("s3://mine/{id}.png", "s3://mine/0a.png"), ("{subset}/{id}", "file://{}/train/0a")]
    )
    async def test_another_template_may_be_relative_and_need_no_subset(
        self, tmp_path: Path, template: str, uri: str
    ) -> None:
        text = "ImageID,Subset\n0a,train\n" if "subset" in template else "ImageID\n0a\n"
        source = written(tmp_path, "ids.csv", text).model_copy(update={"template": template})
        assert await uris(source, Settings()) == [uri.format(tmp_path)]

    @pytest.mark.parametrize(
        "template", ["s3://b/x", "s3://b/{id}{other}", "{id!r}", "{id:>9}", "{id", "{}", "{id.x}", ""]
    )
    async def test_a_template_that_cannot_be_filled_is_a_users_error(self, tmp_path: Path, template: str) -> None:
        source = written(tmp_path, "ids.csv", "ImageID,Subset\n").model_copy(update={"template": template})
        with pytest.raises(UserError, match="template"):
            await listing(source, Settings())

    async def test_ids_that_could_lead_elsewhere_are_quarantined(self, tmp_path: Path) -> None:
        text = "ImageID,Subset\n../../etc/passwd,train\n,train\n0a,../x\n0b,train\n"
        found = await uris(written(tmp_path, "ids.csv", text), Settings())
        said = await refusals(found[:3])
        assert ["no proper ImageID" in text for text in said] == [True, True, False]
        assert found[3] == "s3://open-images-dataset/train/0b.jpg"


async def test_a_list_that_grows_is_carried_on_with_and_one_changed_before_the_place_is_refused(tmp_path: Path) -> None:
    source = written(tmp_path, "list.txt", "/a\n/b\n/c\n/d\n")
    first, *_ = await listing(source, Settings(), page_size=2)
    written(tmp_path, "list.txt", "/a\n/b\n/c\n/d\n/e\n")
    assert [e.uri for b in await listing(source, Settings(), first.cursor) for e in b.entries] == [
        "file:///c",
        "file:///d",
        "file:///e",
    ]
    for changed in ("/a\n/B\n/c\n/d\n", "/new\n/a\n/b\n/c\n/d\n", "/a\n", ""):
        written(tmp_path, "list.txt", changed)
        with pytest.raises(UserError, match="changed before the place reached"):
            await listing(source, Settings(), first.cursor)


async def test_a_cursor_of_something_else_is_a_users_error(tmp_path: Path) -> None:
    for cursor in ("photos/a.jpg", "", "-1-2-x"):
        with pytest.raises(UserError, match="is not a place in"):
            await listing(written(tmp_path, "list.txt", "/a\n"), Settings(), cursor)


@pytest.mark.services
async def test_an_s3_list_replaced_in_the_middle_never_gives_lines_of_both(
    settings: Settings, bucket: str, put: Put
) -> None:
    await put({"l/list.txt": b"".join(b"old%07d.jpg\n" % n for n in range(200_000))})
    source = Source(kind="list", uri=f"s3://{bucket}/l/list.txt")
    seen = []
    async with open_source(source, settings) as lister:
        with pytest.raises(Retriable, match="412"):  # noqa: PT012 - it breaks off somewhere in the loop
            async for batch in lister.batches(None, 1000):
                if not seen:
                    await put({"l/list.txt": b"new\n" * 900_000})
                seen += [entry.uri for entry in batch.entries]
    assert seen
    assert seen == [f"s3://{bucket}/l/old{n:07d}.jpg" for n in range(len(seen))]


@pytest.mark.services
async def test_a_missing_s3_list_is_a_users_error(settings: Settings, bucket: str) -> None:
    with pytest.raises(UserError, match=f"cannot read the list s3://{bucket}/no.txt"):
        await listing(Source(kind="list", uri=f"s3://{bucket}/no.txt"), settings)


@pytest.mark.services
async def test_relative_paths_of_an_s3_list_are_keys_beside_it(settings: Settings, bucket: str, put: Put) -> None:
    await put({"a/b/list.txt": b"x.jpg\n../y z.jpg\n../../w\n../../../out\nc//d\n"})
    found = await uris(Source(kind="list", uri=f"s3://{bucket}/a/b/list.txt"), settings)
    names = ["a/b/x.jpg", "a/y%20z.jpg", "w", None, "a/b/c//d"]
    assert [uri for uri in found if uri.startswith("s3:")] == [f"s3://{bucket}/{name}" for name in names if name]
    assert "leads out of the list's bucket" in (await refusals(found[3:4]))[0]


class _Bytes:
    name = "test"

    def __init__(self, data: bytes, most: int) -> None:
        self.data = data
        self.most = most

    async def read(self, offset: int, length: int) -> bytes:
        return self.data[offset : offset + min(length, self.most)]


@given(
    st.lists(st.binary(max_size=30).map(lambda b: b.replace(b"\n", b"")), max_size=12),
    st.integers(1, 40),
    st.booleans(),
)
@hypothesis_settings(deadline=None)
async def test_lines_are_those_of_the_file_however_it_is_cut_into_blocks(
    parts: list[bytes], most: int, ended: bool
) -> None:
    data = b"\n".join(parts) + (b"\n" if ended else b"")
    found = [line async for line in lines(_Bytes(data, most))]
    assert b"\n".join(line.raw for line in found) == data.removeprefix(b"\xef\xbb\xbf").removesuffix(b"\n")
    assert [line.end for line in found[:-1]] == [line.begin for line in found[1:]]
    for line in found:
        rest = [again async for again in lines(_Bytes(data, most), line.begin)]
        assert rest == found[found.index(line) :]


async def test_a_line_of_exactly_the_most_is_whole_and_one_more_is_cut() -> None:
    data = b"x" * LONGEST_LINE + b"\n" + b"y" * (LONGEST_LINE + 1) + b"\nz"
    found = [line async for line in lines(_Bytes(data, 1000))]
    assert [(len(line.raw), line.cut) for line in found] == [(LONGEST_LINE, False), (LONGEST_LINE, True), (1, False)]
    assert found[-1] == Line(b"z", len(data) - 1, len(data))


async def test_a_long_list_is_listed_lazily_and_in_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    with path.open("wb") as file:
        file.writelines(b"s3://bucket/some/folder/picture-%09d.jpg\n" % number for number in range(60_000))
    count = 0
    tracemalloc.start()
    async with open_source(Source(kind="list", uri=str(path)), Settings()) as lister:
        async for batch in lister.batches(None, 500):
            count += len(batch.entries)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 60_000
    assert peak < 4 * BLOCK, "its entries at once would take 12 MB"
