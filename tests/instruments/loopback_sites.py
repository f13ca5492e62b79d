"""Web sites on the loopback interface, with a test authority and a log of every request."""

from __future__ import annotations

import json
import ssl
import stat
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from echoaudit.instruments.browser import chromium, course, inspector, looking, visit
from echoaudit.study.models import BrowserSettings

if TYPE_CHECKING:
    import pytest

NEWS, TRACKER = "www.news.test", "cdn.tracker.test"
PARTNER, EXCHANGE = "sync.partner.test", "bid.exchange.test"
LONG = "Max-Age=31536000; Secure; SameSite=None; Path=/"
ALLOWED = [
    ("Access-Control-Allow-Origin", f"https://{NEWS}"),
    ("Access-Control-Allow-Credentials", "true"),
    ("Access-Control-Allow-Headers", "content-type, x-extra"),
]


@dataclass
class Seen:
    """One request as the server saw it, with the cookies it set in answer."""

    host: str
    method: str
    path: str
    cookie: str
    set_cookie: list[str] = field(default_factory=list)
    body: bytes = b""
    status: int = 0

    @property
    def url(self) -> str:
        return f"https://{self.host}{self.path}"


@dataclass
class Answer:
    body: str | bytes = ""
    status: int = 200
    mime: str = "text/html; charset=utf-8"
    headers: list[tuple[str, str]] = field(default_factory=list)


@dataclass
class Request:
    host: str
    method: str
    path: str
    query: dict[str, str]
    cookies: dict[str, str]
    body: bytes
    write: Callable[[bytes], object]
    """Sends raw bytes, for answers that break the rules."""


class Sites:
    """``pages[host, path]`` is an Answer or a function from a Request to one."""

    def __init__(self, folder: Path) -> None:
        self.pages: dict[tuple[str, str], Answer | Callable[[Request], Answer | None]] = {}
        self.log: list[Seen] = []
        self.authority = folder / "authority.pem"
        chain = make_chain(folder, self.authority)
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.server.daemon_threads = True
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain)
        self.server.socket = context.wrap_socket(
            self.server.socket, server_side=True, do_handshake_on_connect=False
        )
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    @property
    def arguments(self) -> tuple[str, ...]:
        """Browser flags under which every name of ``.test`` leads here and no other anywhere."""
        port = self.server.server_address[1]
        return (
            f"--host-resolver-rules=MAP *.test:443 127.0.0.1:{port}, "
            "EXCLUDE 127.0.0.1, EXCLUDE localhost, MAP * ~NOTFOUND",
        )

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        sites = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 60

            def setup(self) -> None:
                super().setup()
                self.request.do_handshake()

            def log_message(self, *_: object) -> None:
                """The log is ``Sites.log``."""

            def handle_one(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length) if length else b""
                host = self.headers.get("Host", "")
                cookie = self.headers.get("Cookie", "")
                seen = Seen(host, self.command, self.path, cookie, body=body)
                sites.log.append(seen)
                answer = sites.answer(seen, self.wfile.write)
                if answer is None:
                    self.close_connection = True
                    return
                seen.set_cookie = [v for k, v in answer.headers if k.lower() == "set-cookie"]
                seen.status = answer.status
                payload = answer.body.encode() if isinstance(answer.body, str) else answer.body
                self.send_response(answer.status)
                self.send_header("Content-Type", answer.mime)
                self.send_header("Content-Length", str(len(payload)))
                self.send_header("Cache-Control", "no-store")
                for name, value in answer.headers:
                    self.send_header(name, value)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(payload)

            def handle(self) -> None:
                try:
                    super().handle()
                except (OSError, ssl.SSLError):
                    self.close_connection = True

            do_GET = do_POST = do_OPTIONS = do_HEAD = handle_one

        return Handler

    def answer(self, seen: Seen, write: Callable[[bytes], object]) -> Answer | None:
        parts = urlsplit(seen.path)
        page = self.pages.get((seen.host, parts.path), Answer("not here", 404))
        if isinstance(page, Answer):
            return page
        cookies = dict(pair.strip().split("=", 1) for pair in seen.cookie.split(";") if "=" in pair)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        return page(Request(seen.host, seen.method, parts.path, query, cookies, seen.body, write))


def settings(sites: Sites, **more: object) -> BrowserSettings:
    """A browser's settings that trust these sites, with patience for a busy machine."""
    patient = {"page_timeout": 60.0, "settle": 10.0}
    return BrowserSettings(**{"trusted_authority": sites.authority, **patient, **more})


def be_patient(patch: pytest.MonkeyPatch) -> None:
    """Let visits wait longer for answers. Not for pages that never answer."""
    for module in (course, inspector, looking, visit):
        patch.setattr(module, "PATIENCE", 30.0)
    patch.setattr(looking, "LOOKING", 90.0)


def await_silence(patch: pytest.MonkeyPatch) -> None:
    """Let visits wait until a page has done what it does without being asked, however slowly."""
    patch.setattr(visit, "IDLE", 1.0)
    patch.setattr(visit, "CALM", 1.0)


def entries(folder: Path) -> list[dict]:
    """The requests that a visit recorded."""
    return json.loads((folder / "page.har").read_text())["log"]["entries"]


def har_requests(folder: Path) -> Counter:
    """How often a visit recorded each method and address."""
    return Counter((e["request"]["method"], e["request"]["url"]) for e in entries(folder))


def wrapped_chromium(folder: Path, sites: Sites) -> Path:
    """Chromium, as a program that finds the sites' names on the loopback interface."""
    found = chromium.find(BrowserSettings()).binary
    path = folder / "chromium"
    flags = " ".join(f"'{flag}'" for flag in sites.arguments)
    path.write_text(f'#!/bin/sh\nexec {found} "$@" {flags}\n')
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def make_chain(folder: Path, authority: Path) -> Path:
    """A leaf for ``*.test`` and ``*.SITE.test``, its authority behind it, and the leaf's key."""
    root_key, leaf_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    root_name, leaf_name = _name("Test authority"), _name("sites")
    root = (
        _certificate(root_name, root_name, root_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(root_key, hashes.SHA256())
    )
    names = ["*.test", *(f"*.{site}.test" for site in ("news", "tracker", "partner", "exchange"))]
    leaf = (
        _certificate(leaf_name, root_name, leaf_key.public_key())
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False
        )
        .sign(root_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    authority.write_bytes(root.public_bytes(pem))
    chain = folder / "chain.pem"
    key = leaf_key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    chain.write_bytes(leaf.public_bytes(pem) + root.public_bytes(pem) + key)
    return chain


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
    )
