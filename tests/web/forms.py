"""Fills in and sends forms as a browser does: with the fields that the page has, and the headers that browsers add."""

from __future__ import annotations

from html.parser import HTMLParser

from aiohttp import ClientResponse, ClientSession

__all__ = ["FormOnPage", "browser", "forms_of", "send", "text_of"]


class FormOnPage(HTMLParser):
    """The forms of a page: action, method, and fields with their values; those of buttons left out."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.forms: list[tuple[str, str, dict[str, str]]] = []
        self._select: str | None = None
        self._area: str | None = None
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append((found["action"], found["method"], {}))
        if not self.forms:
            return
        fields = self.forms[-1][2]
        if tag == "input" and "name" in found and (found.get("type") != "checkbox" or "checked" in found):
            fields[found["name"]] = found.get("value", "")
        if tag == "select":
            self._select = found["name"]
        if tag == "textarea":
            self._area = found["name"]
            fields[self._area] = ""
        if tag == "option" and self._select and (self._select not in fields or "selected" in found):
            fields[self._select] = found.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "select":
            self._select = None
        if tag == "textarea":
            self._area = None

    def handle_data(self, data: str) -> None:
        if self._area:
            self.forms[-1][2][self._area] += data


def browser(client: ClientSession, **changes: str | None) -> dict[str, str]:
    """The headers of a form that a page of this server sends; a change of None takes one away."""
    origin = str(client._base_url).rstrip("/")
    headers: dict[str, str | None] = {"Origin": origin, "Sec-Fetch-Site": "same-origin", "Accept": "text/html"}
    named = {name.replace("_", "-"): value for name, value in changes.items()}
    return {name: value for name, value in {**headers, **named}.items() if value is not None}


async def forms_of(client: ClientSession, path: str) -> list[tuple[str, str, dict[str, str]]]:
    """The forms of a page that send something."""
    async with client.get(path, headers={"Accept": "text/html"}) as answer:
        assert answer.status == 200, await answer.text()
        return [form for form in FormOnPage(await answer.text()).forms if form[1] == "post"]


async def send(client: ClientSession, path: str, *, to: str | None = None, **fields: str) -> ClientResponse:
    """Load a page, fill its form in, and send it; redirects are not followed. ``to``: which form, by its action."""
    forms = [form for form in await forms_of(client, path) if to in (None, form[0])]
    action, _, known = forms[0]
    answer = await client.post(action, data={**known, **fields}, headers=browser(client), allow_redirects=False)
    await answer.read()
    return answer


async def text_of(answer: ClientResponse) -> str:
    """The text of a page without its markup, white space made single."""
    words: list[str] = []

    class Text(HTMLParser):
        def handle_data(self, data: str) -> None:
            words.append(data)

    Text().feed(await answer.text())
    return " ".join(" ".join(words).split())
