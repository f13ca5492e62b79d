"""Pi-hole's REST API, spoken by a local server as its documentation says."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest
from import_kit import START, TV, brought, endpoints, refused, sources

PASSWORD, SESSION = "correct horse", "vFA+EP4MQ5JJvJg+3Q2Jnw="


def query(number: int, domain: str, status: str, reply: str = "IP", **more: object) -> dict:
    return {
        "id": number, "time": START + number / 10, "type": "A", "domain": domain, "cname": None,
        "status": status, "client": {"ip": TV, "name": "tv.lan"}, "dnssec": "UNKNOWN",
        "reply": {"type": reply, "time": 1.5}, "list_id": None, "upstream": "9.9.9.9#53",
        "ede": {"code": 0, "text": None}, **more,
    }  # fmt: skip


class Pihole(ThreadingHTTPServer):
    """A Pi-hole of version 6 as far as questions go."""

    def __init__(self, queries, password=PASSWORD) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.queries, self.password = queries, password
        self.sessions: set[str] = set()
        self.asked: list[dict[str, list[str]]] = []
        self.raw: bytes | None = None
        self.moved = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Pihole

    def do_POST(self) -> None:
        said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        good = self.path == "/api/auth" and said == {"password": self.server.password}
        self.signed_in(good, SESSION if good else None, 200 if good else 401)

    def do_DELETE(self) -> None:
        self.server.sessions.discard(self.headers["X-FTL-SID"])
        self.answer(204, None)

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        if self.server.moved:
            self.send_response(302)
            self.send_header("Location", "http://127.0.0.1:9/elsewhere")
            self.end_headers()
        elif parts.path == "/api/auth":
            self.signed_in(self.server.password is None, None, 200)
        elif self.server.password and self.headers["X-FTL-SID"] not in self.server.sessions:
            self.answer(401, {"error": {"key": "unauthorized"}})
        else:
            self.page(parse_qs(parts.query))

    def signed_in(self, good, session, code) -> None:
        self.server.sessions |= {session} if session else set()
        self.answer(code, {"session": {"valid": good, "sid": session, "validity": 1800}})

    def page(self, asked) -> None:
        """Newest first; ``cursor`` is the newest question to show, ``start`` the offset."""
        self.server.asked.append(asked)
        cursor = int(asked["cursor"][0]) if "cursor" in asked else self.server.queries[-1]["id"]
        shown = [one for one in self.server.queries[::-1] if one["id"] <= cursor]
        start, length = int(asked["start"][0]), int(asked["length"][0])
        # Somebody asks something while the pages are read.
        self.server.queries.append(query(self.server.queries[-1]["id"] + 1, "new.x.com", "CACHE"))
        self.answer(200, {"queries": shown[start : start + length], "cursor": cursor,
                          "recordsTotal": len(shown), "recordsFiltered": len(shown)})  # fmt: skip

    def answer(self, code, value) -> None:
        raw = self.server.raw if self.server.raw is not None and code == 200 else None
        body = raw or (json.dumps(value).encode() if value is not None else b"")
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def pihole():
    queries = [
        query(1, "api.roku.com", "FORWARDED"),
        query(2, "ads.example.com", "GRAVITY", "NONE"),
        query(3, "hidden.example.net", "GRAVITY_CNAME", "NONE", cname="tracker.example.io"),
        query(4, "unsaid.example.com", "UNKNOWN", "UNKNOWN"),
        query(5, "brandnew.example.com", "A STATE OF LATER VERSIONS", "IP"),
    ]
    server = Pihole(queries)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def secret(tmp_path):
    path = tmp_path / "password"
    path.write_text(PASSWORD + "\n")
    path.chmod(0o600)
    return path


def test_questions_of_a_running_pihole(tmp_path, pihole, secret) -> None:
    recording = brought(
        "pihole", pihole.url, "--password-file", secret, "--client", TV, into=tmp_path / "r"
    )
    found = endpoints(recording)
    assert found["state"].to_dict() == {
        "api.roku.com": "resolved",
        "ads.example.com": "blocked",
        "hidden.example.net": "blocked",
        "unsaid.example.com": "asked",
        "brandnew.example.com": "asked",
    }
    assert found.loc["hidden.example.net", "aliases"] == "tracker.example.io"
    assert pihole.sessions == set(), "signed out again"


def test_pages_do_not_shift_while_new_questions_come_in(tmp_path, pihole, secret) -> None:
    pihole.queries[:] = [query(n, f"h{n}.example.com", "CACHE") for n in range(1, 2502)]
    recording = brought("pihole", pihole.url, "--password-file", secret, into=tmp_path / "r")
    lines = next(recording.steps()).path("names.jsonl").read_text().splitlines()
    names = [json.loads(line)["name"] for line in lines if '"event":"query"' in line]
    assert sorted(names) == sorted(f"h{n}.example.com" for n in range(1, 2502))
    assert len(pihole.asked) == 3


def test_times_are_asked_for(tmp_path, pihole, secret) -> None:
    since = ["--since", "2025-11-01", "--until", "2025-12-01T00:00+00:00"]
    brought("pihole", pihole.url, "--password-file", secret, *since, into=tmp_path / "r")
    assert pihole.asked[0]["from"] == ["1761955200"]
    assert pihole.asked[0]["until"] == ["1764547200"]


def test_the_password_is_nowhere_in_the_recording(tmp_path, pihole, secret) -> None:
    into = tmp_path / "r"
    recording = brought("pihole", pihole.url, "--password-file", secret, into=into)
    kept = b"".join(path.read_bytes() for path in into.rglob("*") if path.is_file())
    assert PASSWORD.encode() not in kept
    assert SESSION.encode() not in kept
    assert sources(recording)[0]["name"] == pihole.url


def test_a_pihole_without_password(tmp_path, pihole) -> None:
    pihole.password = None
    assert len(endpoints(brought("pihole", pihole.url, into=tmp_path / "r"))) == 5


def test_a_wrong_or_missing_password_is_said(tmp_path, pihole, secret) -> None:
    assert "--password-file" in refused("pihole", pihole.url, into=tmp_path / "r")
    secret.write_text("wrong")
    options = ["--password-file", secret]
    assert "is wrong" in refused("pihole", pihole.url, *options, into=tmp_path / "r")


def test_a_password_that_others_may_read_is_refused(tmp_path, pihole, secret) -> None:
    secret.chmod(0o644)
    options = ["--password-file", secret]
    assert "chmod 600" in refused("pihole", pihole.url, *options, into=tmp_path / "r")


def test_redirects_are_not_followed(tmp_path, pihole) -> None:
    pihole.moved = True
    assert "answered 302" in refused("pihole", pihole.url, into=tmp_path / "r")


@pytest.mark.parametrize(
    "raw", [b"<html>", b"[]", b'{"session": 1}', b'{"session": {"valid": true}, "queries": 3}']
)
def test_answers_of_another_form_are_refused(tmp_path, pihole, raw) -> None:
    pihole.password, pihole.raw = None, raw
    assert pihole.url in refused("pihole", pihole.url, into=tmp_path / "r")


def test_rows_of_another_form_are_counted(tmp_path, pihole) -> None:
    pihole.password = None
    pihole.queries[:] = [
        query(1, "a.example.com", "CACHE"), query(2, "b\nc", "CACHE"), {"id": 3},
        query(4, "d.example.com", "CACHE", time="now"), query(5, "e.x.com", "CACHE", client=None),
    ]  # fmt: skip
    recording = brought("pihole", pihole.url, into=tmp_path / "r")
    assert list(endpoints(recording).index) == ["a.example.com"]
    assert len(sources(recording)[0]["problems"]) == 3


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "https://user:pw@pi.hole", "http://"])
def test_addresses_that_cannot_be_used(tmp_path, url) -> None:
    assert refused("pihole", url, into=tmp_path / "r")
