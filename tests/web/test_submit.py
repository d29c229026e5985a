"""The form that makes a job, and the same by the API."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from tests.web.forms import forms_of, send, text_of
from tests.web.log import Log
from tests.web.scene import START, WEIGHTS, Scene, site
from watson.actions.manifest import job_options, make_manifest, source_of
from watson.events import DEFAULT_MODEL, ManifestSubmitted, ModelRegistered


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    folder = tmp_path / "photographs"
    folder.mkdir()
    for name in ("a.jpg", "b.jpg", "c d.jpg"):
        (folder / name).write_bytes(b"x")
    return folder


def model(name: str, version: str, time: datetime = START) -> ModelRegistered:
    return ModelRegistered(
        time=time, name=name, model_version=version, model_kind="cam", weights_sha256=WEIGHTS, weights_size=9,
        categories=("cat", "dog"),
    )  # fmt: skip


async def check(client: ClientSession, **fields: str) -> tuple[int, str]:
    answer = await send(client, "/submit", **fields)
    return answer.status, await text_of(answer)


async def test_a_check_says_how_many_pictures_there_are_and_the_first_of_them_and_sends_nothing(
    scene: Scene, log: Log, photographs: Path
) -> None:
    async with site(scene) as client:
        status, text = await check(client, source=str(photographs), dataset="street", do="check")
    assert status == 200
    assert "3 pictures" in text
    assert f"file://{photographs}/a.jpg" in text
    assert "c%20d.jpg" in text
    assert log.events == []


async def test_what_is_submitted_is_what_the_command_would_send(scene: Scene, log: Log, photographs: Path) -> None:
    async with site(scene) as client:
        answer = await send(
            client, "/submit", do="submit", source=f" {photographs} ", dataset="street", least_score="0.25",
            least_area="0", categories="cat\r\n\r\n dog \r\ncat\r\n", long_side="512", weight="3",
        )  # fmt: skip
    (event,) = log.events
    expected = make_manifest(
        source_of(str(photographs)), "street", None, DEFAULT_MODEL, job_options(512, 0.25, 0, ["cat", "dog"], 3)
    )
    assert isinstance(event, ManifestSubmitted)
    assert event.model_dump(exclude={"time"}) == expected.model_dump(exclude={"time"})
    assert (answer.status, answer.headers["Location"]) == (303, f"/jobs/{event.job}/coming")


async def test_what_was_checked_stays_in_the_form(scene: Scene, log: Log, photographs: Path) -> None:
    hostile = "\"><script>alert(1)</script>\r\n'x'"
    async with site(scene) as client:
        answer = await send(client, "/submit", source=str(photographs), dataset="a b", categories=hostile, weight="7")
        page = await answer.text()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert 'value="7"' in page
    assert 'value="a b"' in page


WRONG = {
    "source": [("", "the source is empty"), ("photographs", "neither an absolute path nor a URI"), ("~/x", "neither")],
    "dataset": [("my street", "a name is 1 to 100 letters"), ("", "a name is"), ("é", "a name is"), ("x" * 101, "a")],
    "job": [("a/b", "a name is 1 to 100 letters"), ("../x", "a name is")],
    "kind": [("ftp", "Input should be 'directory', 's3', 'list' or 'open-images'")],
    "template": [("{id}", "is for --kind open-images")],
    "model": [("nobody", "There is no model 'nobody'"), ("x" * 5000, "There is no model")],
    "least_score": [("2", "less than or equal to 1"), ("-1", "greater than or equal to 0"), ("nan", "not a number")],
    "least_area": [("1e9", "not a number"), ("", "not a number"), ("٠", "not a number"), ("1_0", "not a number")],
    "long_side": [("31", "greater than or equal to 32"), ("9" * 40, "not a whole number"), ("3.5", "not a whole")],
    "weight": [("0", "greater than 0"), ("101", "less than or equal to 100"), ("inf", "not a number")],
    "categories": [("x" * 201, "at most 200"), ("\n".join("a" * 196 + str(n) for n in range(300)), "40000 characters")],
}


@pytest.mark.parametrize(("field", "value", "why"), [(name, *case) for name, cases in WRONG.items() for case in cases])
@pytest.mark.parametrize("do", ["check", "submit"])
async def test_each_mistake_is_said_at_its_field_and_nothing_is_sent(
    scene: Scene, log: Log, photographs: Path, field: str, value: str, why: str, do: str
) -> None:
    async with site(scene) as client:
        fields = {"source": str(photographs), "dataset": "street", field: value}
        answer = await send(client, "/submit", do=do, **fields)
        page = await answer.text()
    assert answer.status == 422
    said = page.partition(f'id="{field}-said">')[2].partition("</p>")[0]
    assert why in said.replace("&#39;", "'"), said
    assert f'id="{field}"' in page.partition('aria-invalid="true"')[0][-300:]
    assert log.events == []


async def test_all_mistakes_are_said_at_once(scene: Scene, log: Log) -> None:
    async with site(scene) as client:
        status, text = await check(client, source="/nowhere", dataset="a b", weight="0", model="nobody", job="/")
    assert status == 422
    assert "5 fields are not as they must be" in text


FORBIDDEN = ["/etc", "/etc/passwd", "/proc/self/environ", "file:///etc/shadow", "/sys", "/run/secrets/x", "/../etc/x"]


@pytest.mark.parametrize("source", FORBIDDEN)
@pytest.mark.parametrize("kind", ["", "directory", "list"])
async def test_of_what_no_source_may_name_nothing_is_told(scene: Scene, log: Log, source: str, kind: str) -> None:
    async with site(scene) as client:
        status, text = await check(client, source=source, kind=kind, dataset="street", do="submit")
    assert status == 422
    assert "which no source may name" in text
    assert "root:" not in text
    assert log.events == []


async def test_outside_the_roots_it_is_not_even_told_what_is_there(
    scene: Scene, log: Log, photographs: Path, tmp_path: Path
) -> None:
    (tmp_path / "beside").mkdir()
    (photographs / "link").symlink_to(tmp_path / "beside")
    async with site(scene, source_roots=str(photographs)) as client:
        said = set()
        for name in (str(tmp_path / "beside"), str(tmp_path / "nothing"), str(photographs / "link")):
            status, text = await check(client, source=name, dataset="street", kind="")
            assert status == 422
            said.add(text.partition("WATSON_SOURCE_ROOTS")[0].replace(name, "NAME").partition("NAME' is")[2])
        assert said == {" outside the directories that sources may name here ("}
        assert (await check(client, source=str(photographs), dataset="street"))[0] == 200


async def test_a_source_with_more_pictures_than_are_counted_says_so(
    scene: Scene, log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("watson.web.submissions.MOST_COUNTED", 3)
    monkeypatch.setattr("watson.web.submit.MOST_COUNTED", 3)
    (tmp_path / "list.txt").write_text("".join(f"/p/{n}.jpg\n" for n in range(4)))
    async with site(scene) as client:
        assert "More than 3 pictures" in (await check(client, source=str(tmp_path / "list.txt"), dataset="s"))[1]
        (tmp_path / "list.jsonl").write_text('{"uri": "/p/1.jpg"}\n\nno JSON\n{"uri": "/p/2.jpg"}\n')
        text = (await check(client, source=str(tmp_path / "list.jsonl"), dataset="s"))[1]
    assert "More than" not in text
    assert "3 pictures" in text
    assert "1 of them cannot be read as they are listed" in text


async def test_a_source_of_nothing_says_so(scene: Scene, log: Log, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    async with site(scene) as client:
        assert "Nothing is there" in (await check(client, source=str(tmp_path / "empty"), dataset="s"))[1]


async def test_with_the_broker_away_that_is_said_and_what_was_written_stays(
    scene: Scene, log: Log, photographs: Path
) -> None:
    log.away = True
    async with site(scene) as client:
        fields = {"source": str(photographs), "dataset": "street", "do": "submit"}
        answer = await send(client, "/submit", **fields, model="street@1")
        assert answer.status == 422
        assert "no Kafka broker answers" in await text_of(answer)
        assert f'value="{photographs}"' in await answer.text()
        assert (await send(client, "/submit", **fields)).status == 503  # a model of Watson's own needs none before


async def test_a_name_of_a_model_is_its_newest_version(scene: Scene, log: Log, photographs: Path) -> None:
    log.models = {f"street@{n}": model("street", str(n), START.replace(hour=12 + n)) for n in (1, 2)}
    async with site(scene) as client:
        await send(client, "/submit", source=str(photographs), dataset="s", model="street", do="submit")
    assert [event.model for event in log.events] == ["street@2"]


async def test_the_form_offers_the_models_that_stand_and_the_datasets_that_are(scene: Scene, log: Log) -> None:
    await scene.add_job("j")
    await scene.catalogue.put_model(model("street", "1"))
    async with site(scene) as client:
        page = await (await client.get("/submit")).text()
    assert '<option value="street@1">' in page
    assert f'<option value="{DEFAULT_MODEL}" selected>' in page
    assert '<option value="animals">' in page
    assert "test-threshold" not in page


async def test_the_page_waits_for_the_job_and_becomes_it(scene: Scene) -> None:
    async with site(scene) as client:
        async with client.get("/jobs/j/coming") as answer:
            page = await answer.text()
        assert (answer.status, 'http-equiv="refresh"' in page) == (200, True)
        await scene.add_job("j")
        async with client.get("/jobs/j/coming", allow_redirects=False) as answer:
            assert (answer.status, answer.headers["Location"]) == (303, "/jobs/j")


async def test_a_job_that_was_refused_is_not_waited_for(scene: Scene) -> None:
    await scene.add_dead_letter("k", "file:///x", message="too new")
    async with site(scene) as client:
        page = await (await client.get("/jobs/k/coming")).text()
    assert "too new" in page
    assert 'http-equiv="refresh"' not in page


@pytest.mark.parametrize("name", ["<script>", "a/../b", "//evil.example", "a\r\nLocation: x"])
async def test_no_name_of_a_coming_job_is_more_than_a_name(scene: Scene, name: str) -> None:
    from urllib.parse import quote

    async with site(scene) as client:
        async with client.get(f"/jobs/{quote(name, safe='')}/coming", allow_redirects=False) as answer:
            page = await answer.text()
        assert answer.status == 200
        assert "<script>" not in page
        assert "Location" not in answer.headers


async def test_where_nothing_may_be_changed_there_is_no_form(scene: Scene) -> None:
    async with site(scene, web_host="192.0.2.1") as client:
        assert await forms_of(client, "/submit") == []


# ------------------------------------------------------------------ programs
async def post(client: ClientSession, path: str, document: Any) -> tuple[int, Any]:
    async with client.post(path, json=document) as answer:
        return answer.status, await answer.json()


async def test_a_program_submits_the_same(scene: Scene, log: Log, photographs: Path) -> None:
    asked = {"source": str(photographs), "dataset": "street", "options": {"rules": {"least_score": 0.123456789012}}}
    async with site(scene) as client:
        status, said = await post(client, "/api/v1/jobs", asked)
    (event,) = log.events
    assert (status, said["job"], said["links"]["self"]) == (202, event.job, f"/api/v1/jobs/{event.job}")
    assert event.options.rules.least_score == 0.123456789012


@pytest.mark.parametrize(
    ("changes", "status", "said"),
    [
        ({"dataset": "a b", "model": "nobody"}, 422, {"dataset", "model"}),
        ({"source": "/etc"}, 422, {"source"}),
        ({"options": {"weight": 0}}, 400, "options.weight"),
        ({"color": 1}, 400, "color"),
        ({"dataset": None}, 400, "dataset"),
        ({"source": 7}, 400, "source"),
    ],
)
async def test_a_program_is_told_what_is_wrong_by_field(
    scene: Scene, log: Log, photographs: Path, changes: dict[str, Any], status: int, said: Any
) -> None:
    async with site(scene) as client:
        found, document = await post(client, "/api/v1/jobs", {"source": str(photographs), "dataset": "s", **changes})
    assert found == status
    assert document["fields"].keys() == said if status == 422 else said in document["error"]
    assert log.events == []


async def test_a_program_looks_at_a_source(scene: Scene, photographs: Path) -> None:
    async with site(scene) as client:
        status, said = await post(client, "/api/v1/look", {"source": str(photographs)})
        assert (status, said["images"], said["complete"]) == (200, 3, True)
        assert (await post(client, "/api/v1/look", {"source": "/etc"}))[0] == 422
        assert (await post(client, "/api/v1/look", {"source": "s3://b/x.txt", "kind": "directory"}))[0] == 422
