"""The REST API of Pi-hole version 6: its questions, page by page."""

from __future__ import annotations

import hashlib
import json
import ssl
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from dataclasses import field as default
from http.client import HTTPException
from pathlib import Path
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode, urlsplit
from urllib.request import HTTPRedirectHandler, HTTPSHandler, Request, build_opener

from echoaudit.errors import BadInput, Unavailable
from echoaudit.imports import pihole_codes as codes
from echoaudit.imports.questions import Question
from echoaudit.imports.source import shown
from echoaudit.recording.jsonfile import parse

PAGE = 1000
"""Questions asked for at once."""
MOST_PAGES = 100_000
ANSWER_LIMIT = 16 << 20
"""Bytes of one answer."""
PATIENCE = 30.0
SECRET_LIMIT = 1024


def read_password(path: Path) -> str:
    """The first line of a file that only its owner may read.

    Raises:
        BadInput: missing, readable by others, or empty.
    """
    if not path.is_file():
        raise BadInput("there is no such file", file=shown(str(path)))
    if path.stat().st_mode & 0o077:
        raise BadInput(
            f"others may read the password; fix: chmod 600 {shown(str(path))}",
            file=shown(str(path)),
        )
    with path.open("rb") as file:
        lines = file.read(SECRET_LIMIT).decode("utf-8", "replace").splitlines()
    if not lines or not lines[0]:
        raise BadInput("has no password in its first line", file=shown(str(path)))
    return lines[0]


def check_url(url: str) -> str:
    """The address of a Pi-hole without its path.

    Raises:
        BadInput: not http or https, or it holds a password.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port, parts = None, None, urlsplit("")
    if parts.scheme not in ("http", "https") or not host or "@" in parts.netloc:
        raise BadInput(
            "allowed: http:// or https:// with the Pi-hole's name and port, without a user; "
            "example: https://pi.hole"
        )
    name = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{name}" + (f":{port}" if port else "")


class _Stay(HTTPRedirectHandler):
    """The password and the session go nowhere else."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> None:
        """Follow no redirect."""


@dataclass
class Api:
    """One Pi-hole; use as a context, which signs in and out."""

    url: str
    """As :func:`check_url` gives it."""
    password: str | None = default(default=None, repr=False)
    authority: Path | None = None
    """Certificates that are trusted besides the system's: a Pi-hole's is its own."""
    digest: Any = default(default_factory=hashlib.sha256, repr=False)
    """SHA-256 of all pages as they were answered."""
    octets: int = 0

    def __post_init__(self) -> None:
        """Prepare connections, which follow no redirect."""
        self._session: str | None = None
        self._opener = build_opener(_Stay, HTTPSHandler(context=self._context()))

    def _context(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        if self.authority is not None:
            try:
                context.load_verify_locations(self.authority)
            except (OSError, ssl.SSLError) as error:
                raise BadInput(
                    "not a readable file of certificates (PEM)", file=shown(str(self.authority))
                ) from error
        return context

    def __enter__(self) -> Api:
        """Sign in.

        Raises:
            BadInput: the password is wrong or missing, or it is no Pi-hole of version 6.
            Unavailable: it cannot be reached.
        """
        if self.password is not None:
            answer = self._ask("POST", "/api/auth", {"password": self.password})
        else:
            answer = self._ask("GET", "/api/auth")
        session = answer.get("session")
        if not isinstance(session, dict) or session.get("valid") is not True:
            hint = "wrong" if self.password is not None else "needed: --password-file FILE"
            raise BadInput(f"the password is {hint}", file=self.url)
        sid = session.get("sid")
        self._session = sid if isinstance(sid, str) and sid.isascii() and sid.isprintable() else ""
        return self

    def __exit__(self, *_: object) -> None:
        """Sign out: a Pi-hole has few places for sessions."""
        if self._session:
            self._send("DELETE", "/api/auth", None)
            self._session = None

    def questions(
        self, since: float | None, until: float | None, problems: Counter[str]
    ) -> Iterator[Question]:
        """All questions between two times, from the long-term database, newest first."""
        asked = {"disk": "true", "length": str(PAGE)}
        asked |= {"from": f"{since:.0f}"} if since is not None else {}
        asked |= {"until": f"{until:.0f}"} if until is not None else {}
        start, seen_last = 0, None
        for _ in range(MOST_PAGES):
            page = self._ask("GET", "/api/queries?" + urlencode({**asked, "start": start}))
            rows = page.get("queries")
            if not isinstance(rows, list):
                raise BadInput("its answer has no list of queries", file=self.url)
            last = rows[-1].get("id") if rows and isinstance(rows[-1], dict) else None
            if not rows or (last is not None and last == seen_last):
                return
            yield from (
                one for row in rows if (one := codes.question(_row(row), problems)) is not None
            )
            if len(rows) < PAGE:
                return
            # New questions come in while pages are read: the cursor keeps pages from shifting.
            if "cursor" not in asked and isinstance(page.get("cursor"), int):
                asked["cursor"] = str(page["cursor"])
            start, seen_last = start + len(rows), last
        raise BadInput(f"more than {MOST_PAGES} pages of queries", file=self.url)

    def _ask(self, method: str, path: str, body: Mapping[str, str] | None = None) -> dict[str, Any]:
        raw = self._send(method, path, body)
        answer = parse(raw, file=self.url)
        if not isinstance(answer, dict):
            raise BadInput("its answer is no JSON object", file=self.url)
        if path.startswith("/api/queries"):
            self.digest.update(raw)
            self.octets += len(raw)
        return answer

    def _send(self, method: str, path: str, body: Mapping[str, str] | None) -> bytes:
        request = Request(self.url + path, method=method)
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        if self._session:
            request.add_header("X-FTL-SID", self._session)
        try:
            with self._opener.open(request, timeout=PATIENCE) as answer:
                raw: bytes = answer.read(ANSWER_LIMIT + 1)
        except HTTPError as error:
            raise BadInput(_refusal(error, path), file=self.url) from error
        except (URLError, HTTPException, OSError) as error:
            reason = getattr(error, "reason", None) or error
            raise Unavailable(
                f"{self.url} cannot be reached: {shown(str(reason))}",
                fix="check the address, and for https its certificate (--ca FILE)",
            ) from error
        if len(raw) > ANSWER_LIMIT:
            raise BadInput(f"an answer is larger than {ANSWER_LIMIT} bytes", file=self.url)
        return raw


def _refusal(error: HTTPError, path: str) -> str:
    error.close()
    if error.code == 401:
        return "the password is wrong or missing; allowed: --password-file FILE"
    if error.code == 429:
        return "too many sessions are open; sign out of some, or wait"
    if error.code == 404:
        return "has no REST API of Pi-hole version 6; of older ones import the database or the log"
    return f"answered {error.code} to {path.partition('?')[0]}"


def _row(row: Any) -> codes.Row:
    found = row if isinstance(row, dict) else {}
    client, reply = found.get("client"), found.get("reply")
    return codes.Row(
        found.get("time"),
        client.get("ip") if isinstance(client, dict) else None,
        found.get("domain"),
        found.get("type"),
        found.get("status"),
        reply.get("type") if isinstance(reply, dict) else None,
        found.get("cname"),
    )
