"""The platform's shop: signing in, the advertising cookie that follows, and opting out."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from echoaudit.lab.cloud.context import Cloud, cookie_of, give_cookie, new_identifier
from echoaudit.lab.cloud.pages import render
from echoaudit.lab.exchange import shop_ad
from echoaudit.lab.world_model import PLATFORM, PREFERENCES


def shop_routes(cloud: Cloud) -> list[Route]:
    """What the shop's host answers."""
    platform = cloud.world.file.platform

    async def form(request: Request) -> Response:
        if signed_in(cloud, request) is not None:
            return RedirectResponse("/", 303)
        response = HTMLResponse(render("sign-in.html.jinja", failed=False))
        if platform.visit_cookie not in request.cookies:
            give_cookie(response, platform.shop, platform.visit_cookie, new_identifier("digits"))
        return response

    async def submit(request: Request) -> Response:
        sent = await request.form()
        account = _find(cloud, sent.get("email"), sent.get("password"))
        if account is None:
            return HTMLResponse(render("sign-in.html.jinja", failed=True), 401)
        return _welcome(cloud, account)

    async def home(request: Request) -> Response:
        account = signed_in(cloud, request)
        places = [] if account is None else list(_places(cloud, account))
        page = render("shop.html.jinja", signed_in=account is not None, places=places)
        return HTMLResponse(page, headers={"Cache-Control": "no-store"})

    async def preferences(request: Request) -> Response:
        account = signed_in(cloud, request)
        if account is None:
            return RedirectResponse("/ap/signin", 303)
        if request.method == "POST":
            cloud.store.opt_out(account)
        page = render("preferences.html.jinja", opted_out=cloud.store.opted_out(account))
        return HTMLResponse(page, headers={"Cache-Control": "no-store"})

    return [
        Route(PREFERENCES, preferences, methods=["GET", "POST"]),
        Route("/ap/signin", form, methods=["GET"]),
        Route("/ap/signin", submit, methods=["POST"]),
        Route("/", home, methods=["GET"]),
    ]


def ads_routes(cloud: Cloud) -> list[Route]:
    """The advertising host's part of signing in: its cookie gets to know the account."""
    party = cloud.world.parties[PLATFORM]

    async def associate(request: Request) -> Response:
        account = cloud.store.take_ticket(request.query_params.get("t", ""))
        response = RedirectResponse(f"https://{cloud.world.file.platform.shop}/", 302)
        if account is not None:
            ads_id = cookie_of(request, party) or new_identifier(party.identifier)
            cloud.store.set_ads_id(ads_id, account)
            give_cookie(response, party.host, party.cookie, ads_id)
        return response

    return [Route("/associate", associate, methods=["GET"])]


def _places(cloud: Cloud, account: str) -> Iterator[dict[str, Any]]:
    """The home page's slots, each with the ad that the platform chose for the account."""
    for row in cloud.world.file.platform.shop_slots:
        turn = cloud.store.next_auction(f"{PLATFORM}|shop|{row.slot}|{account}")
        ad = shop_ad(cloud.world, account, row.slot, turn, cloud.profile(account))
        shown = {"slot": row.slot, "advertiser": ad.advertiser, "text": ad.text}
        cloud.truth.write("shop_ads", {"account": account, "ad": ad.ad, **shown})
        yield {**shown, "width": row.size[0], "height": row.size[1]}


def _find(cloud: Cloud, username: object, password: object) -> str | None:
    for name, account in cloud.accounts.items():
        if (account.username, account.password) == (username, password):
            return name
    return None


def signed_in(cloud: Cloud, request: Request) -> str | None:
    """The account that a request's browser is signed in with."""
    token = request.cookies.get(cloud.world.file.platform.session_cookie)
    return None if token is None else cloud.store.session(token)


def _welcome(cloud: Cloud, account: str) -> Response:
    platform = cloud.world.file.platform
    token, ticket = secrets.token_urlsafe(48), secrets.token_urlsafe(24)
    cloud.store.add_session(token, account)
    cloud.store.add_ticket(ticket, account)
    response = RedirectResponse(f"https://{platform.ads}/associate?t={ticket}", 303)
    give_cookie(response, platform.shop, platform.session_cookie, token)
    return response
