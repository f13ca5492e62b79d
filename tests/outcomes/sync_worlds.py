"""Worlds of cookie syncs made up by a seed, as recordings: what is planted is known.

No browser runs. Parties differ in how their identifiers look, in where they keep them (cookies,
local and session storage) and how (bare, compound, JSON, in base64), in how and where they send
them, and in what else they keep and send that identifies nobody.
"""

from __future__ import annotations

import base64
import hashlib
import json
import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlencode

from visits_kit import START, YEAR, Page, cookie, record

from echoaudit.outcomes import syncs

Sync = tuple[str, str, str]
"""Account, whose identifier, who was sent it."""

PLATFORM = "platform.test"
DIGITS, LETTERS = "0123456789", "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


def _word(r: random.Random, letters: str, length: int) -> str:
    return "".join(r.choice(letters) for _ in range(length))


KINDS: dict[str, Callable[[random.Random], str]] = {
    "hex": lambda r: _word(r, "0123456789abcdef", r.choice((16, 24, 32, 40))),
    "digits": lambda r: str(r.randrange(10**15, 10**19)),
    "uuid": lambda r: str(uuid.UUID(int=r.getrandbits(128), version=4)),
    "base64url": lambda r: base64.urlsafe_b64encode(r.randbytes(16)).decode().rstrip("="),
    "letters": lambda r: _word(r, LETTERS, r.choice((12, 20, 26))),
    "analytics": lambda r: f"{r.randrange(10**8, 10**9)}.{int(START) - r.randrange(10**7)}",
}
"""How identifiers look."""


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def _b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _b64url(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _jwt(value: str) -> str:
    parts = ({"alg": "HS256", "typ": "JWT"}, {"sub": value, "iat": int(START)})
    return ".".join([*(_b64url(_compact(part)) for part in parts), "c2lnbmF0dXJl"])


def _hash(name: str, value: str) -> str:
    return hashlib.new(name, value.encode(), usedforsecurity=False).hexdigest()


HELD: dict[str, Callable[[str, int], str]] = {
    "bare": lambda uid, _: uid,
    "quoted": lambda uid, _: f'"{uid}"',
    "versioned": lambda uid, _: f"v2|{uid}|1",
    "dotted": lambda uid, _: f"GA1.2.{uid}",
    "stamped": lambda uid, now: f"{uid}:{now}",
    "query": lambda uid, now: f"id={uid}&t={now}&n=3",
    "json": lambda uid, now: quote(_compact({"uid": uid, "ts": now}), safe=""),
    "base64 json": lambda uid, _: _b64(_compact({"u": uid, "v": 2})),
}
"""How an identifier is held, at a time."""

KEEPERS = (*["cookie"] * 6, *["local"] * 2, *["session"] * 2)
"""Where a party keeps its identifier."""
COPIED = {"cookie": ("cookie", "cookie", "local", "session"), "local": ("session",), "session": ()}
"""Where the others may keep theirs of it: storage does not tell when it was written, so a copy that
is kept no longer than the original can be told from it."""

WAYS: dict[str, Callable[[str], str]] = {
    "plain": lambda v: v,
    "every character": lambda v: "".join(f"%{ord(c):02X}" for c in v),
    "twice": lambda v: quote(quote(f"<{v}>", safe=""), safe=""),
    "base64": lambda v: quote(_b64(v), safe=""),
    "base64url": _b64url,
    "hex": lambda v: v.encode().hex(),
    "HEX": lambda v: v.encode().hex().upper(),
    "md5": lambda v: _hash("md5", v),
    "sha1": lambda v: _hash("sha1", v).upper(),
    "sha256": lambda v: _hash("sha256", v),
    "sha256 base64": lambda v: quote(
        base64.b64encode(hashlib.sha256(v.encode()).digest()).decode(), safe=""
    ),
    "json": lambda v: quote(_compact({"ids": [{"id": v}]}), safe=""),
    "base64 json": lambda v: quote(_b64(_compact({"user": {"id": v}})), safe=""),
    "jwt": _jwt,
    "query in base64": lambda v: quote(_b64(f"a=1&uid={v}&b=2"), safe=""),
    "url in url": lambda v: quote(f"https://x.example/r?u={quote(v, safe='')}&z=1", safe=""),
}
"""How an identifier is written in an address; none of it needs more quoting."""

PLACES = ("query", "query", "query", "path", "header", "form", "json body")


@dataclass(frozen=True)
class Edge:
    """``source`` sends its identifier to ``target``."""

    source: str
    target: str
    way: str
    place: str
    redirected: bool
    """By a redirect of the source's own; else by a script of the page."""


@dataclass(frozen=True)
class SyncWorld:
    """Pages as they would be recorded, and the syncs in them."""

    pages: tuple[Page, ...]
    planted: frozenset[Sync]
    partners: frozenset[str]
    """Parties that send the platform their identifiers."""


def make(
    seed: int,
    partners: int | None = None,
    downstream: int | None = None,
    accounts: tuple[str, ...] | None = None,
    rounds: int | None = None,
) -> SyncWorld:
    """The world of a seed; sizes that are not given are drawn too."""
    r = random.Random(seed)
    partners = partners if partners is not None else r.randrange(3, 60)
    downstream = downstream if downstream is not None else r.randrange(0, 250)
    accounts = accounts or tuple(f"{p}-{n}" for p in "ab" for n in range(1, r.randrange(2, 4)))
    rounds = rounds or r.randrange(2, 4)
    names = [f"p{n}-{_word(r, DIGITS, 5)}.test" for n in range(partners + downstream)]
    site = "news.test"
    edges = _edges(r, names[:partners], names[partners:], site)
    kinds = {name: r.choice(list(KINDS)) for name in (*names, PLATFORM, site)}
    held = {name: r.choice(list(HELD)) for name in kinds}
    constants = {name: KINDS["hex"](r) for name in kinds}
    keepers = {name: r.choice(KEEPERS) for name in kinds}
    copies = {
        edge: r.choice(COPIED[keepers[edge.source]])
        for edge in edges
        if edge.way == "plain" and COPIED[keepers[edge.source]] and r.random() < 0.3
    }
    pages: list[Page] = []
    for account in accounts:
        browser = _Browser(r, account, kinds, held, keepers, constants, copies)
        pages += [browser.visit(number, edges) for number in range(1, rounds + 1)]
    planted = {(a, edge.source, edge.target) for a in accounts for edge in edges}
    onward = {(a, edge.source, "onward.test") for a in accounts for edge in copies}
    return SyncWorld(tuple(pages), frozenset(planted | onward), frozenset(names[:partners]))


def _edges(
    r: random.Random, partners: list[str], downstream: list[str], site: str
) -> tuple[Edge, ...]:
    pairs = [(name, PLATFORM) for name in partners]
    known = list(partners)
    for name in downstream:
        # Most get an identifier from a partner, some from one further down.
        pairs.append((r.choice(partners if r.random() < 0.8 else known), name))
        known.append(name)
    pairs += [(site, name) for name in r.sample(partners, min(2, len(partners)))]
    if r.random() < 0.3:
        pairs.append((PLATFORM, r.choice(partners)))
    return tuple(
        Edge(a, b, r.choice(list(WAYS)), r.choice(PLACES), r.random() < 0.6 and a != site)
        for a, b in pairs
    )


class _Browser:
    """One account's browser: what its cookies and storage hold and what it sends."""

    def __init__(self, r, account, kinds, held, keepers, constants, copies) -> None:
        self.r = r
        self.account = account
        self.held = held
        self.keepers = keepers
        self.constants = constants
        self.copies = copies
        self.uids = {name: KINDS[kind](r) for name, kind in kinds.items()}
        self.session = {name: KINDS["hex"](r) for name in kinds}
        self.first_visit = {name: str(int(START * 1000) + r.randrange(10**6)) for name in kinds}
        self.consent = "CP" + _word(r, LETTERS, 60)

    def visit(self, number: int, edges: tuple[Edge, ...]) -> Page:
        page = Page(self.account, number)
        now = int(page.started)
        rotating = {name: KINDS["hex"](self.r) for name in self.uids}
        tabs = {name: KINDS["hex"](self.r) for name in self.uids}
        view = KINDS["uuid"](self.r)
        for name in self.uids:
            page.storage += self._stores(name, now, rotating[name], tabs[name])
            page.after += self._jar(name, now, rotating[name])
        page.after += [
            cookie(f".{edge.target}", "partner_uid", self.uids[edge.source], now=now)
            for edge, keeper in self.copies.items()
            if keeper == "cookie"
        ]
        page.storage += [
            _store(f"in.{edge.target}", keeper, {f"of {edge.source}": self.uids[edge.source]})
            for edge, keeper in self.copies.items()
            if keeper != "cookie"
        ]
        page.before = list(page.after) if number > 1 else []
        for name in self.uids:
            # Own cookies in one's own addresses are no sync.
            page.ask(f"https://px.{name}/i?own={self.uids[name]}", set_cookies=self._set(name, now))
        for edge in edges:
            self._send(page, edge, rotating[edge.source], tabs[edge.source], view, now)
        return page

    def _jar(self, name: str, now: int, rotating: str) -> list[dict]:
        value = HELD[self.held[name]](self.uids[name], now)
        own = [cookie(f".{name}", "uid", value, now=now)] if self.keepers[name] == "cookie" else []
        return [
            *own,
            cookie(f".{name}", "sess", self.session[name], None),
            cookie(f".{name}", "rot", rotating, now=now),
            cookie(f".{name}", "first", self.first_visit[name], now=now),
            cookie(f".{name}", "cfg", self.constants[name], now=now),
            cookie(f".{name}", "brief", self.session[name][::-1], 86_400, now=now),
            cookie(f".{name}", "euconsent-v2", self.consent, now=now),
            cookie(f".{name}", "lang", "en-US", now=now),
            cookie(f".{name}", "screen", "1366x900", now=now),
        ]

    def _stores(self, name: str, now: int, rotating: str, tab: str) -> list[dict]:
        """What storage holds: perhaps the identifier, and much that is none."""
        value = HELD[self.held[name]](self.uids[name], now)
        own = {self.keepers[name]: {"uid": value}}
        common = {"cfg": self.constants[name], "at": str(now * 1000), "lang": "en-US"}
        local = {"rot": rotating, "first": self.first_visit[name], "consent": self.consent}
        session = {"sid": tab, "view": rotating[::-1], "gdpr": self.consent}
        return [
            _store(f"px.{name}", "local", common | local | own.get("local", {})),
            _store(f"px.{name}", "session", common | session | own.get("session", {})),
            _store(f"in.{name}", "session", {"sid": tab}),
        ]

    def _set(self, name: str, now: int) -> list[dict]:
        if self.keepers[name] != "cookie":
            return []
        value = HELD[self.held[name]](self.uids[name], now)
        return [{"name": "uid", "value": value, "domain": f".{name}", "_maxAge": str(YEAR)}]

    def _send(self, page: Page, edge: Edge, rotating: str, tab: str, view: str, now: int) -> None:
        decoys = {
            "cb": _word(self.r, DIGITS, 13),
            "ts": str(now * 1000 + self.r.randrange(1000)),
            "view": view,
            "sid": self.session[edge.source],
            "rot": rotating,
            "tab": tab,
            "fv": self.first_visit[edge.source],
            "cfg": self.constants[edge.source],
            "brief": self.session[edge.source][::-1],
            "gdpr_consent": self.consent,
            # Somebody else's number that merely begins like the identifier.
            "x": f"{self.uids[edge.source]}{_word(self.r, DIGITS, 2)}",
            "lang": "en-US",
        }
        uid = self.uids[edge.source]
        written = WAYS[edge.way](uid)
        query, path, body, headers = urlencode(decoys), "/match", None, []
        match edge.place:
            case "query":
                query += f"&puid={written}"
            case "path":
                path = f"/match/{written}/i.gif"
            case "header":
                headers = [("X-Partner", written)]
            case "form":
                body = f"n=1&puid={written}&m=2"
            case "json body":
                body = _compact({"n": 1, "list": [{"eid": written}]})
        chain = None
        if edge.redirected:
            chain = f"{page.number}-{len(page.requests)}"
            page.ask(f"https://px.{edge.source}/go?cb={decoys['cb']}", chain=chain)
        kept = []
        if self.copies.get(edge) == "cookie":
            kept = [{"name": "partner_uid", "value": uid, "domain": f".{edge.target}",
                     "_maxAge": str(YEAR)}]  # fmt: skip
        url = f"https://in.{edge.target}{path}?{query}"
        page.ask(url, chain=chain, body=body, headers=headers, set_cookies=kept)
        if edge in self.copies:
            page.ask(f"https://in.onward.test/match?id={uid}")


def _store(host: str, kind: str, items: dict[str, str]) -> dict:
    return {"origin": f"https://{host}", "page": "news.test", "kind": kind,
            "items": items, "total": len(items)}  # fmt: skip


def found(folder: Path, world: SyncWorld) -> frozenset[Sync]:
    """The syncs that the outcome finds in the world's recording, which is made in ``folder``."""
    table = syncs.derive(record(folder, *world.pages))
    return frozenset(zip(table["account"], table["source"], table["target"], strict=True))
