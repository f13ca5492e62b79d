"""Cookie syncs: pixels that pass a browser's identifier from party to party by redirects."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from echoaudit.domains import registrable
from echoaudit.lab.cloud.context import (
    Cloud,
    cookie_of,
    give_cookie,
    new_identifier,
    pixel,
)
from echoaudit.lab.cloud.pages import render
from echoaudit.lab.encodings import encode
from echoaudit.lab.world import Hop
from echoaudit.lab.world_model import PLATFORM, Party

VIEW = "cb"
"""Parameter that differs with every page view: a cache buster to all parties."""
PROOF = ("test_cookie", "CheckForPermission")
"""A cookie with one value for all browsers, as some parties set to see whether they may."""
SESSION = "sess"
"""A cookie that ends with the browser."""
TAG = "/tag.js"
GREETING = "window.platformTag = {ready: true};\n"


@dataclass(frozen=True)
class _Visit:
    """A browser at a party's pixel."""

    party: Party
    request: Request
    uid: str
    """The party's identifier of the browser."""

    @property
    def view(self) -> str:
        return self.request.query_params.get(VIEW, "")


def routes(cloud: Cloud, party: Party) -> list[Route]:
    """What the party's host answers: its pixel, and the identifiers that others send it."""

    async def load(request: Request) -> Response:
        """A page loads the pixel, or a chain comes back for the party's own cookie."""
        visit = _recognise(cloud, party, request)
        _note(cloud, visit)
        return _go_on(cloud, visit, *_place(cloud, request, party))

    async def receive(request: Request) -> Response:
        """Another party's identifier arrives; the chain goes on."""
        visit = _recognise(cloud, party, request)
        origin, number = _place(cloud, request, party)
        for hop in cloud.world.chain(origin)[number - 1 : number] if number else ():
            if hop.target == party.party:
                _learn(cloud, visit, hop)
        return _go_on(cloud, visit, origin, number)

    return [
        Route(party.path, load, methods=["GET"]),
        Route(_match_path(party), receive, methods=["GET"]),
    ]


def tag_route(cloud: Cloud) -> Route:
    """The platform's script, the first thing that a page loads."""

    async def tag(request: Request) -> Response:
        visit = _recognise(cloud, cloud.world.parties[PLATFORM], request)
        return _finished(cloud, visit, Response(GREETING, media_type="text/javascript"))

    return Route(TAG, tag, methods=["GET"])


def _match_path(party: Party) -> str:
    return f"{party.path.rstrip('/')}/match"


def _place(cloud: Cloud, request: Request, party: Party) -> tuple[str, int]:
    """Whose chain this is, and which of its hops comes next."""
    origin, number = request.query_params.get("c", ""), request.query_params.get("n", "0")
    known = origin in cloud.world.parties and number.isdecimal() and len(number) < 5
    return (origin, int(number)) if known else (party.party, 0)


def _recognise(cloud: Cloud, party: Party, request: Request) -> _Visit:
    """The party's identifier of this browser, a new one when it has none."""
    uid = cookie_of(request, party) or new_identifier(party.identifier)
    visit = _Visit(party, request, uid)
    account = _account(cloud, visit)
    if account is not None:
        cloud.store.set_browser(party.party, uid, account)
    return visit


def _account(cloud: Cloud, visit: _Visit) -> str | None:
    """Whose browser this is; a page's view is announced by the platform's tag on it."""
    if visit.party.party != PLATFORM:
        return cloud.store.view_account(visit.view)
    account = cloud.store.ads_account(visit.uid)
    if account is not None and visit.view:
        cloud.store.set_view(visit.view, account)
    return account


def _note(cloud: Cloud, visit: _Visit) -> None:
    """The party sees by the referrer which site its browser is on."""
    site = urlsplit(visit.request.headers.get("referer", "")).hostname
    interest = cloud.world.shown_interest(site or "")
    if interest is not None:
        cloud.store.note(visit.party.party, visit.uid, interest)


def _learn(cloud: Cloud, visit: _Visit, hop: Hop) -> None:
    """A party was sent the identifier that ``hop.source`` has for its visitor."""
    party = visit.party
    if party.party == PLATFORM:
        value = visit.request.query_params.get(hop.parameter, "")
        cloud.store.match(hop.source, value, visit.uid)
    row = {
        "account": cloud.party_account(party.party, visit.uid),
        "browser": visit.uid,
        "view": visit.view,
        "from_domain": registrable(cloud.world.parties[hop.source].host),
        "to_domain": registrable(party.host),
        "kind": hop.encoding,
    }
    cloud.truth.write("syncs", row)


def _go_on(cloud: Cloud, visit: _Visit, origin: str, number: int) -> Response:
    """Send the browser to the next hop of the chain; a picture at its end."""
    target = _next(cloud, visit, origin, number)
    if visit.party.load == "iframe" and visit.party.party == origin and number == 0:
        return _finished(cloud, visit, HTMLResponse(render("frame.html.jinja", image=target)))
    return _finished(cloud, visit, RedirectResponse(target, 302) if target else pixel())


def _next(cloud: Cloud, visit: _Visit, origin: str, number: int) -> str | None:
    chain = cloud.world.chain(origin)
    if number >= len(chain):
        return None
    hop = chain[number]
    shared = {"c": origin, VIEW: visit.view}
    if hop.source != visit.party.party:
        # Only the hop's source sees its own cookie: the browser has to go there first.
        source = cloud.world.parties[hop.source]
        return _url(source, source.path, {**shared, "n": str(number)})
    target = cloud.world.parties[hop.target]
    sent = {**shared, "n": str(number + 1), "p": hop.source}
    sent[hop.parameter] = encode(visit.uid, hop.encoding)
    return _url(target, _match_path(target), {**sent, **_decoys(cloud, visit.request)})


def _url(party: Party, path: str, values: dict[str, str]) -> str:
    return f"https://{party.host}{path}?{urlencode(values)}"


def _decoys(cloud: Cloud, request: Request) -> dict[str, str]:
    """What travels along and identifies nobody for long."""
    if not cloud.world.file.decoys:
        return {}
    session = request.query_params.get("sid") or request.cookies.get(SESSION)
    constant = f"pub-{cloud.world.file.seed:016d}"
    found = {"ts": str(secrets.randbelow(10**12)), "pub": constant}
    return {**found, "sid": session} if session else found


def _finished(cloud: Cloud, visit: _Visit, response: Response) -> Response:
    response.headers["Cache-Control"] = "no-store"
    party = visit.party
    give_cookie(response, party.host, party.cookie, visit.uid)
    if cloud.world.file.decoys and party.party != PLATFORM:
        give_cookie(response, party.host, *PROOF)
        if SESSION not in visit.request.cookies:
            give_cookie(response, party.host, SESSION, secrets.token_hex(8), age=None)
    return response
