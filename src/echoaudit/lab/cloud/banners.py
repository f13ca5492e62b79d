"""Consent banners of publishers: what bids or tracks is withheld until they are accepted."""

from __future__ import annotations

from typing import Literal

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from echoaudit.lab.cloud.context import YEAR, Cloud
from echoaudit.lab.cloud.pages import render, script_text
from echoaudit.lab.world_model import Publisher

COOKIE = "consent"
"""The choice, and nothing else: a cookie of the site itself."""
ANSWER = "/consent"
SCRIPT = "/assets/banner.js"
VIEW = "view"
"""Parameter that names the page view."""
Choice = Literal["accept", "reject"]
CHOICES: tuple[Choice, ...] = ("accept", "reject")


def chosen(request: Request) -> Choice | None:
    """What this browser has answered to the site's banner."""
    return next((choice for choice in CHOICES if request.cookies.get(COOKIE) == choice), None)


def withheld_page(cloud: Cloud, publisher: Publisher, view: str, choice: Choice | None) -> Response:
    """The page without bidders, pixels or tags; with the banner when nothing was answered yet."""
    if choice is None:
        _log(cloud, publisher, view, "shown")
    page = render("banner.html.jinja", publisher=publisher, view=view, shown=choice is None)
    return HTMLResponse(page, headers={"Cache-Control": "no-store"})


def routes(cloud: Cloud, publisher: Publisher) -> list[Route]:
    """The banner's script, and where its answer goes."""

    async def script(_: Request) -> Response:
        return Response(script_text("banner.js"), media_type="text/javascript")

    async def answer(request: Request) -> Response:
        choice = request.query_params.get("choice")
        if choice not in CHOICES:
            return Response("no such choice", 400)
        _log(cloud, publisher, request.query_params.get(VIEW, ""), choice)
        response = Response(status_code=204)
        response.set_cookie(COOKIE, choice, max_age=YEAR, path="/", secure=True)
        return response

    return [Route(SCRIPT, script, methods=["GET"]), Route(ANSWER, answer, methods=["POST"])]


def _log(cloud: Cloud, publisher: Publisher, view: str, what: str) -> None:
    cloud.truth.write("consents", {"site": publisher.site, "view": view, "what": what})
