"""Lists by address and by npm package: whole and understood, or nothing is changed."""

from __future__ import annotations

import gzip
import http.server
import io
import json
import shutil
import ssl
import subprocess
import tarfile
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from echoaudit.cli import group
from echoaudit.errors import BadInput, Unavailable
from echoaudit.lists import Store, download, matcher, packed

HOSTS = b"# Version: 7.1\n# License: MIT\n0.0.0.0 dts.podtrac.com\n"
ENTITIES = [
    {"name": "Doubleclick", "company": "Google", "categories": ["ad"], "domains": ["*.dc.example"]},
    {"name": "One", "category": "content", "domains": ["one.example", "*.sub.one.example"]},
]
SMALL = 1 << 20


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("ECHOAUDIT_LISTS", str(tmp_path / "installed"))
    return tmp_path / "installed"


def command(*arguments: object):
    return CliRunner().invoke(group, ["lists", *(str(word) for word in arguments)])


def state(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*") if path.name != "lock"}


# --- over HTTP ---------------------------------------------------------------------------------


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        known = self.server.answers.get(self.path)  # type: ignore[attr-defined]
        code, headers, body = known or (404, {}, b"")
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        try:
            for piece in [body] if isinstance(body, bytes) else body():
                self.wfile.write(piece)
        except OSError:
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


def endless():
    while True:
        yield b"0.0.0.0 a.example\n" * 4096


def dripping():
    while True:
        yield b"#"
        time.sleep(0.05)


ANSWERS = {
    "/hosts": (200, {}, HOSTS),
    "/hosts?key=secret": (200, {}, HOSTS),
    "/zipped": (200, {"Content-Encoding": "gzip"}, gzip.compress(HOSTS)),
    "/file.gz": (200, {}, gzip.compress(HOSTS)),
    "/owners.json": (200, {}, json.dumps(ENTITIES).encode()),
    "/moved": (302, {"Location": "/hosts"}, b""),
    "/round": (302, {"Location": "/round"}, b""),
    "/file": (302, {"Location": "file:///etc/hosts"}, b""),
    "/bomb": (200, {"Content-Encoding": "gzip"}, gzip.compress(bytes(4 * SMALL))),
    "/endless": (200, {}, endless),
    "/drip": (200, {}, dripping),
    "/early": (200, {"Content-Length": "1000"}, HOSTS),
    "/brotli": (200, {"Content-Encoding": "br"}, b"x"),
    "/damaged": (200, {"Content-Encoding": "gzip"}, gzip.compress(HOSTS)[:-9]),
    "/page": (200, {"Content-Type": "text/html"}, b"<!DOCTYPE html>\n<p>\ngone.example\n"),
    "/nothing": (200, {}, b""),
}


def serve(context: ssl.SSLContext | None = None) -> http.server.ThreadingHTTPServer:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.answers = dict(ANSWERS)  # type: ignore[attr-defined]
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    return server


@pytest.fixture(scope="module")
def plain():
    server = serve()
    port = server.server_address[1]
    server.answers["/elsewhere"] = (302, {"Location": f"http://localhost:{port}/hosts"}, b"")
    yield f"http://127.0.0.1:{port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "ca.pem"
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    path.with_name("key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path


@pytest.fixture(scope="module")
def secure(authority, plain):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority, authority.with_name("key.pem"))
    server = serve(context)
    port = server.server_address[1]
    server.answers["/down"] = (302, {"Location": f"http://localhost:{port}/hosts"}, b"")
    yield f"https://localhost:{port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("path", ["/hosts", "/zipped", "/file.gz", "/moved"])
def test_a_list_is_downloaded(plain, path) -> None:
    done = command("update", plain + path, "--name", "mine")
    assert done.exception is None, done.exception
    (shown,) = json.loads(command("show", "--json").stdout)
    assert (shown["rules"], shown["version"], shown["licence"]) == (1, "7.1", "MIT")
    assert Store.default().text(Store.default().installed()[0]).encode() == HOSTS


def test_the_name_comes_from_the_address_and_keys_in_it_are_not_shown(plain) -> None:
    assert command("update", plain + "/hosts?key=secret").exit_code == 0
    shown = command("show").output
    assert shown.startswith(
        "hosts: 1 rules (hosts, version 7.1, licence MIT) from http://127.0.0.1"
    )
    assert "secret" not in shown
    assert command("update").exit_code == 0


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/missing", "answered 404"),
        ("/elsewhere", "redirects to http://localhost"),
        ("/round", "answered 302"),
        ("/file", "answered 302"),
        ("/bomb", "when unpacked"),
        ("/endless", "larger than"),
        ("/brotli", "compressed as 'br'"),
        ("/damaged", "not whole gzip data"),
        ("/page", "no rule that is understood"),
        ("/nothing", "no rule that is understood"),
    ],
)
def test_what_is_no_list_leaves_the_store_as_it_was(plain, folder, monkeypatch, path, says) -> None:
    assert command("update", plain + "/hosts").exit_code == 0
    before = state(folder)
    monkeypatch.setattr(download, "LIMIT", SMALL)
    monkeypatch.setattr(packed, "LIMIT", SMALL)
    done = command("update", plain + path, "--name", "hosts")
    assert isinstance(done.exception, BadInput)
    assert says in str(done.exception)
    assert "\n" not in str(done.exception)
    assert state(folder) == before


def test_a_list_that_ends_early_is_not_installed(plain, folder) -> None:
    done = command("update", plain + "/early")
    assert isinstance(done.exception, Unavailable)
    assert state(folder) == {}


@pytest.mark.parametrize("head", [True, False])
def test_a_server_that_drips_is_cut_off(plain, head) -> None:
    if head:
        listener = dripping_head()
        url = f"http://127.0.0.1:{listener.server_address[1]}/"
    else:
        url = plain + "/drip"
    started = time.monotonic()
    with pytest.raises(Unavailable, match="too slow"):
        download.download(url, deadline=0.4)
    assert time.monotonic() - started < 60, "it would drip for ever"


def dripping_head() -> http.server.ThreadingHTTPServer:
    class Head(Handler):
        def do_GET(self) -> None:
            try:
                self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
                for piece in dripping():
                    self.wfile.write(piece)
            except OSError:
                self.close_connection = True

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Head)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    return server


def test_certificates_are_verified(secure, authority, tmp_path) -> None:
    done = command("update", secure + "/hosts")
    assert isinstance(done.exception, Unavailable)
    assert "--ca FILE" in str(done.exception)
    assert command("update", secure + "/hosts", "--ca", authority).exit_code == 0
    done = command("update", secure + "/down", "--ca", authority)
    assert isinstance(done.exception, BadInput)
    assert "redirects to http://localhost" in str(done.exception)
    (tmp_path / "no.pem").write_text("no certificate")
    done = command("update", secure + "/hosts", "--ca", tmp_path / "no.pem")
    assert isinstance(done.exception, BadInput)


@pytest.mark.parametrize(
    "url",
    ["http://", "http://user:word@host.example/", "http://host.example:99999/", "http://a b/",
     "http://ho\u017ft.example/x"],
)  # fmt: skip
def test_unusable_addresses_are_refused(url) -> None:
    done = command("update", url)
    assert isinstance(done.exception, BadInput)
    assert "word" not in str(done.exception)


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/", f"http://{'a' * 70}.example/"])
def test_who_cannot_be_reached(url) -> None:
    assert isinstance(command("update", url).exception, Unavailable)


def test_a_list_that_fails_hinders_no_other(plain, folder, tmp_path) -> None:
    path = tmp_path / "a-list"
    path.write_bytes(HOSTS)
    assert command("update", path).exit_code == 0
    assert command("update", plain + "/hosts", "--name", "z").exit_code == 0
    before = {one.name: one for one in Store.default().installed()}
    path.unlink()
    done = CliRunner().invoke(group, ["lists", "update"], standalone_mode=False)
    assert done.return_value == 2
    assert "a-list: stays as it was: " in done.output
    assert "z: 1 rules" in done.output
    assert {one.name: one for one in Store.default().installed()} == before


def test_updates_at_once_lose_nothing(tmp_path) -> None:
    def one(number: int) -> None:
        path = tmp_path / f"list-{number}"
        path.write_text(f"0.0.0.0 n{number}.example\n")
        Store.default().update(str(path))

    workers = [threading.Thread(target=one, args=(number,)) for number in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(Store.default().installed()) == 8


def test_the_name_of_our_own_list_is_taken(tmp_path) -> None:
    (tmp_path / "echoaudit").write_bytes(HOSTS)
    assert isinstance(command("update", tmp_path / "echoaudit").exception, BadInput)


# --- npm packages ------------------------------------------------------------------------------

with_npm = pytest.mark.skipif(shutil.which("npm") is None, reason="needs npm")


@pytest.fixture(scope="module")
def archive(tmp_path_factory) -> Path:
    """A package as npm itself packs it."""
    folder = tmp_path_factory.mktemp("package")
    (folder / "dist").mkdir()
    (folder / "dist" / "entities.json").write_text(json.dumps(ENTITIES))
    manifest = {"name": "@a-scope/some-owners", "version": "3.2.1", "license": "CC-BY-NC-SA-4.0",
                "scripts": {"prepack": "touch ran"}}  # fmt: skip
    (folder / "package.json").write_text(json.dumps(manifest))
    words = ["npm", "pack", str(folder), "--pack-destination", str(folder), "--ignore-scripts"]
    subprocess.run(words, check=True, capture_output=True, timeout=300, cwd=folder)
    return next(folder.glob("*.tgz"))


@with_npm
def test_a_packed_package_is_a_list(archive) -> None:
    done = command("update", archive)
    assert done.exception is None, done.exception
    (shown,) = json.loads(command("show", "--json").stdout)
    assert (shown["name"], shown["format"], shown["rules"]) == ("some-owners", "owners", 3)
    assert (shown["version"], shown["licence"]) == ("3.2.1", "CC-BY-NC-SA-4.0")
    assert "licence CC-BY-NC-SA-4.0" in command("show").output


@with_npm
def test_npm_fetches_from_the_registry_it_is_configured_for(
    archive, tmp_path, monkeypatch, folder
) -> None:
    server = serve()
    where = f"http://127.0.0.1:{server.server_address[1]}"
    version = {"name": "@a-scope/some-owners", "version": "3.2.1",
               "dist": {"tarball": f"{where}/some.tgz"}}  # fmt: skip
    known = {"name": "@a-scope/some-owners", "dist-tags": {"latest": "3.2.1"},
             "versions": {"3.2.1": version}}  # fmt: skip
    server.answers["/@a-scope%2fsome-owners"] = (200, {}, json.dumps(known).encode())  # type: ignore[attr-defined]
    server.answers["/some.tgz"] = (200, {}, archive.read_bytes())  # type: ignore[attr-defined]
    monkeypatch.setenv("npm_config_registry", where + "/")
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "cache"))
    done = command("update", "npm:@a-scope/some-owners@3.2.1")
    assert done.exception is None, done.exception
    assert "some-owners: 3 rules (owners, version 3.2.1" in done.output
    before = state(folder)
    done = command("update", "npm:@a-scope/some-owners@9.9.9")
    assert isinstance(done.exception, BadInput)
    assert "npm knows no such package or version (ETARGET)" in str(done.exception)
    server.shutdown()
    server.server_close()
    done = command("update", "npm:other")
    assert isinstance(done.exception, Unavailable)
    assert "127.0.0.1" not in str(done.exception)
    assert state(folder) == before


def test_without_npm_the_fix_is_named(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    done = command("update", "npm:third-party-web")
    assert isinstance(done.exception, Unavailable)
    assert "apt-get install npm" in str(done.exception)


@pytest.mark.parametrize(
    "source", ["npm:", "npm:../x", "npm:/etc", "npm:a/b", "npm:--help", "npm:a@file:x", "npm:a@-x",
               "npm:git+https://x.example/y", "npm:A B"],
)  # fmt: skip
def test_npm_is_asked_for_packages_only(source) -> None:
    done = command("update", source)
    assert isinstance(done.exception, BadInput)
    assert "allowed: npm:NAME" in str(done.exception)


MANIFEST = json.dumps({"name": "x", "version": "1"}).encode()
OWNERS = json.dumps(ENTITIES).encode()


def tar(*members: tuple[str, bytes | tarfile.TarInfo]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as file:
        for name, content in members:
            if isinstance(content, tarfile.TarInfo):
                file.addfile(content)
            else:
                info = tarfile.TarInfo(name)
                info.size = len(content)
                file.addfile(info, io.BytesIO(content))
    return made.getvalue()


def link(name: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
    return info


@pytest.mark.parametrize(
    "raw",
    [
        tar(("p/package.json", MANIFEST)),
        tar(("p/dist/entities.json", OWNERS)),
        tar(("p/package.json", b"[]"), ("p/dist/entities.json", OWNERS)),
        tar(("p/package.json", MANIFEST), ("", link("p/dist/entities.json"))),
        tar(("p/package.json", MANIFEST), ("p/dist/entities.json", b"{}")),
        tar(("p/package.json", MANIFEST), ("p/dist/entities.json", b"[" * 100_000)),
        tar(("p/package.json", MANIFEST), ("p/../dist/entities.json", OWNERS)),
        tar(("p/package.json", MANIFEST), ("p/dist/entities.json", OWNERS))[:-40],
        gzip.compress(bytes(4 * SMALL)),
    ],
)
def test_hostile_packages_are_refused_whole(tmp_path, folder, monkeypatch, raw) -> None:
    monkeypatch.setattr(packed, "LIMIT", SMALL)
    (tmp_path / "x.tgz").write_bytes(raw)
    done = command("update", tmp_path / "x.tgz")
    assert isinstance(done.exception, BadInput)
    assert state(folder) == {}


def test_every_cut_and_flip_of_a_package_is_a_clear_error_or_a_list(tmp_path) -> None:
    whole = gzip.decompress(tar(("p/package.json", MANIFEST), ("p/dist/entities.json", OWNERS)))
    for place in range(0, len(whole), 37):
        flipped = bytearray(whole)
        flipped[place] ^= 0xA5
        for raw in (whole[:place], bytes(flipped)):
            try:
                found = packed.unpacked(raw, "x")
            except BadInput:
                continue
            assert isinstance(found, bytes | packed.Package)


# --- owners ------------------------------------------------------------------------------------


def owners(tmp_path: Path, value: object):
    path = tmp_path / "owners.json"
    path.write_text(json.dumps(value))
    store = Store.default()
    return matcher("owners", store.text(store.update(str(path))))


def test_wildcards_cover_all_below_and_bare_names_themselves(tmp_path) -> None:
    known = owners(tmp_path, ENTITIES)
    assert known.find("a.b.dc.example").organisations == ("Google",)
    assert known.find("dc.example").rule == "*.dc.example (Doubleclick)"
    assert known.find("dc.example").categories == ("ad",)
    assert known.find("one.example").says == "named"
    assert known.find("www.one.example") is None
    assert known.find("x.sub.one.example").organisations == ("One",)
    assert known.find("notdc.example") is None


def test_trackerdb_names_pattern_organisation_and_category(tmp_path) -> None:
    pattern = {"name": "AppNexus", "category": "advertising", "organization": "ms",
               "domains": ["adnxs.com"], "filters": ["||adnxs.com^"]}  # fmt: skip
    nobody = {"name": "x.example", "category": "misc", "organization": None,
              "domains": ["x.example"]}  # fmt: skip
    known = owners(
        tmp_path,
        {"patterns": {"a": pattern, "b": nobody}, "organizations": {"ms": {"name": "Microsoft"}}},
    )
    found = known.find("ib.adnxs.com")
    assert (found.organisations, found.services, found.categories, found.rule) == (
        ("Microsoft",), ("AppNexus",), ("advertising",), "*.adnxs.com (AppNexus)",
    )  # fmt: skip
    assert known.find("x.example").organisations == ()


def test_the_most_specific_domain_counts(tmp_path) -> None:
    known = owners(
        tmp_path,
        [
            {"name": "Host", "category": "hosting", "domains": ["*.cdn.example"]},
            {"name": "Guest", "category": "ad", "domains": ["guest.cdn.example"]},
        ],
    )
    assert known.find("guest.cdn.example").organisations == ("Guest",)
    assert known.find("other.cdn.example").organisations == ("Host",)


def test_the_same_entities_give_the_same_text_in_any_order(tmp_path) -> None:
    owners(tmp_path, ENTITIES)
    first = Store.default().installed()[0].sha256
    owners(tmp_path, ENTITIES[::-1])
    assert Store.default().installed()[0].sha256 == first


@pytest.mark.parametrize("text", ['{"a": 1}', '[{"a": 1}]', "[{", "{" * 50_000])
def test_other_json_is_refused(tmp_path, text) -> None:
    (tmp_path / "x.json").write_text(text)
    done = command("update", tmp_path / "x.json")
    assert isinstance(done.exception, BadInput)
    assert "third-party-web" in str(done.exception)


def test_names_cannot_steer_the_text_that_is_kept(tmp_path) -> None:
    hostile = [{"name": "A\u2028B\n\x1b[2J", "domains": ["*.a.example", "*.x/../y", "", "é.x"]}]
    found = owners(tmp_path, hostile).find("a.example")
    assert found.organisations == ("A B [2J",)
    assert Store.default().installed()[0].rules == 1
