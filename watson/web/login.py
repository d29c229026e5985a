"""The login page, which takes the token once, and the way out."""

from __future__ import annotations

import re

import faust
from aiohttp import web

from watson.web.access import Access
from watson.web.bodies import Form
from watson.web.guard import add_action, add_page
from watson.web.templating import page

__all__ = ["mount_login", "see_other"]

_OWN_ADDRESS = re.compile(r"/(?![/\\])[A-Za-z0-9._~/?&=%+-]{0,1000}")
"""A path of this server: not ``//host``, which browsers take for another one."""


def mount_login(app: faust.App, access: Access) -> None:
    """Add the routes to an app whose web server has not started."""

    async def show(request: web.Request) -> web.Response:
        return page("login.html", takes_token=access.takes_token, next=_own(request.query.get("next", "/")))

    async def take(request: web.Request) -> web.Response:
        session = await access.log_in(request)
        response = see_other(_own(request.query.get("next", "/")))
        access.set_cookie(request, response, session)
        return response

    async def leave(request: web.Request, _form: Form) -> web.Response:
        response = see_other("/")
        access.log_out(request, response)
        return response

    add_page(app, "/login", show, post=take)
    add_action(app, "/logout", access.form(leave))


def see_other(address: str) -> web.Response:
    """Sends the browser on to another page, after it sent a form."""
    return web.Response(status=303, headers={"Location": address, "Cache-Control": "no-store"})


def _own(address: str) -> str:
    return address if _OWN_ADDRESS.fullmatch(address) else "/"
