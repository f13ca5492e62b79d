"""Hostile sites, two of every kind: each visit ends in its budget, and the next is unharmed."""

from __future__ import annotations

import gzip
import time
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest
from loopback_sites import NEWS, Answer, har_requests, settings

from echoaudit.instruments.browser import Browser, course, targets

pytestmark = pytest.mark.web

EVIL = "www.evil.test"
MIB = 1024**2
EVIDENCE = {
    *("page.har", "bids.json", "cookies.json", "page.png"),
    *("ads.json", "storage.json", "console.json"),
}
OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n"
BOMB = gzip.compress(b" " * (64 * MIB), 1)
ZIPPED = [("Content-Encoding", "gzip")]
SCRIPT = "text/javascript"


FAILED, TIMEOUT, LOADED = {"failed"}, {"timeout"}, {"complete", "timeout"}


class Kind(NamedTuple):
    """Two pages of one kind, by path, with what they load; how a visit to each must end, and why.

    A visit that another limit than time must end has so much time that it cannot be time, on a
    busy machine, too. The others have little, and those that need not time out may then.
    """

    pages: dict
    ends: tuple[set[str], set[str]]
    reasons: tuple[str, str] = ("", "")


def redirect(request):
    number = int(request.query.get("n", 0)) + 1
    return Answer("", 302, headers=[("Location", f"/1?n={number}")])


def reload(request):
    number = int(request.query.get("n", 0)) + 1
    return Answer(f"<meta http-equiv=refresh content='0;url=/2?n={number}'>again")


def flood(request):
    """Ten gigabytes, were they ever taken."""
    request.write(OK)
    for _ in range(100_000):
        request.write(b"<!--" + b"x" * 100_000 + b"-->")


def drip(request):
    request.write(OK + b"<p>slow")
    for _ in range(60):
        request.write(b".")
        time.sleep(0.1)


def page(script):
    return Answer(f"<p>hello<script>{script}</script>")


def waits_for(path):
    """A script without whose answer the page is not loaded, however slow the machine."""
    return f"const r = new XMLHttpRequest(); r.open('GET', '{path}', false); r.send()"


DOWNLOAD = [("Content-Disposition", "attachment; filename=evil.zip")]
FRAMES = Answer("<iframe src='/1?a'></iframe><iframe src='/1?b'></iframe>")
KINDS = {
    "endless redirect": Kind(
        {"/1": redirect, "/2": reload}, (FAILED, LOADED), ("endless redirect", "")
    ),
    "ten gigabytes": Kind(
        {
            "/1": flood,
            "/2": page(waits_for("/big")),
            "/big": flood,
        },
        # What a script waits for in this way is told when it has come: time ends such a visit.
        (FAILED, {"failed", "timeout"}),
        ("more than", ""),
    ),
    "gzip bomb": Kind(
        {
            "/1": Answer(BOMB, headers=ZIPPED),
            "/2": page(waits_for("/bomb")),
            "/bomb": Answer(BOMB, headers=ZIPPED),
        },
        (FAILED, FAILED),
        ("MiB after decompression", "MiB after decompression"),
    ),
    "alert loop": Kind(
        {"/1": page("for (;;) alert(1)"), "/2": page("setInterval(() => prompt('name?'))")},
        (TIMEOUT, LOADED),
    ),
    "busy loop": Kind(
        {"/1": page("for (;;);"), "/2": page("onload = () => setTimeout(() => { for (;;); })")},
        (TIMEOUT, LOADED),
    ),
    "pop-up storm": Kind(
        {
            "/1": page("for (let i = 0; i < 60; i++) open('/quiet?' + i)"),
            "/2": page("for (let i = 0; i < 3; i++) open('/2?' + Math.random())"),
            "/quiet": Answer("x"),
        },
        (LOADED, LOADED),
    ),
    "leaving": Kind(
        {
            "/1": page("onbeforeunload = () => 'stay'; alert(1)"),
            "/2": page("onpagehide = onunload = () => { for (;;); }"),
        },
        (LOADED, LOADED),
    ),
    "service worker": Kind(
        {
            "/1": page("navigator.serviceWorker.register('/flood.js')"),
            "/2": page("navigator.serviceWorker.register('/stuck.js', {scope: '/2'})"),
            "/flood.js": Answer(
                "onfetch = (e) => e.respondWith(new Response('taken over'));"
                "setInterval(() => fetch('/quiet?' + Math.random()), 1)",
                mime=SCRIPT,
            ),
            "/stuck.js": Answer("oninstall = () => { for (;;); }", mime=SCRIPT),
            "/quiet": Answer("x"),
        },
        (LOADED, LOADED),
    ),
    "slow drip": Kind(
        {"/1": drip, "/2": Answer("<script src=/slow></script>x"), "/slow": drip},
        (TIMEOUT, TIMEOUT),
    ),
    "download": Kind(
        {
            "/1": Answer(b"PK", mime="application/zip", headers=DOWNLOAD),
            "/2": page(
                "const a = document.createElement('a'); a.download = 'evil.txt';"
                "a.href = URL.createObjectURL(new Blob(['x'])); setInterval(() => a.click(), 50)"
            ),
        },
        (FAILED, LOADED),
        ("a download instead of a page", ""),
    ),
    "recursive frames": Kind(
        {
            "/1": FRAMES,
            "/2": page(
                "const grow = (w, depth) => { if (depth) for (let i = 0; i < 3; i++) {"
                "const f = w.document.createElement('iframe'); w.document.body.append(f);"
                "grow(f.contentWindow, depth - 1); } }; grow(window, 5)"
            ),
        },
        (LOADED, LOADED),
    ),
}


HURRIED, PATIENT = 3.0, 40.0
"""Seconds for loading a page; the more where another limit must end the visit."""


@pytest.fixture(scope="module")
def browsers(sites, tmp_path_factory):
    """A browser for each patience, and their profiles' folder."""
    profiles = tmp_path_factory.mktemp("hostile")
    with ExitStack() as stack:
        found = {}
        for patience in (HURRIED, PATIENT):
            chosen = settings(sites, settle=0.5).model_copy(update={"page_timeout": patience})
            profile = profiles / str(patience)
            found[patience] = stack.enter_context(
                Browser(chosen, profile, extra_arguments=sites.arguments)
            )
        yield found, profiles


@pytest.mark.parametrize("name", KINDS)
def test_hostile_sites_end_in_their_budget_and_leave_the_next_visit_unharmed(
    sites, browsers, tmp_path, monkeypatch, name
):
    monkeypatch.setattr(course, "RECEIVED_LIMIT", 1 * MIB)
    monkeypatch.setattr(course, "DECODED_LIMIT", 16 * MIB)
    monkeypatch.setattr(targets, "POPUPS_LIMIT", 2)
    opened, profiles = browsers
    kind = KINDS[name]
    sites.pages.update({(EVIL, path): answer for path, answer in kind.pages.items()})
    sites.pages[NEWS, "/calm"] = Answer("<p>calm")
    used = [PATIENT if ends == FAILED else HURRIED for ends in kind.ends]
    for number, ends, reason, patience in zip(
        ("1", "2"), kind.ends, kind.reasons, used, strict=True
    ):
        visit = opened[patience].visit(f"https://{EVIL}/{number}", tmp_path / number)
        assert visit.state in ends, visit
        assert (visit.state == "complete") == (visit.reason is None)
        assert reason in (visit.reason or ""), visit
        assert visit.ended - visit.started < patience + 22
    for patience in set(used):
        calm = tmp_path / f"calm-{patience}"
        after = opened[patience].visit(f"https://{NEWS}/calm", calm)
        assert after.state == "complete", after
        asked = {url for _, url in har_requests(calm)}
        assert asked - {f"https://{NEWS}/favicon.ico"} == {f"https://{NEWS}/calm"}
    for folder in tmp_path.iterdir():
        assert {path.name for path in folder.iterdir()} <= EVIDENCE
    assert not [*profiles.rglob("evil*"), *Path.cwd().glob("evil*"), *Path.home().glob("*/evil*")]
