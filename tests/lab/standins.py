"""Stand-ins for the machine's tests: a small TLS cloud with a resolver of DNS over HTTPS, and a
speaker that does as it is told."""

import http.server
import json
import socket
import ssl
import subprocess
import sys
import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

NAME_SERVER = "100.64.0.1"
"""Of the lab's internet."""


@dataclass(frozen=True)
class Host:
    name: str
    address: str
    cname: str | None = None
    reverse: str | None = None


RESOLVER = Host("dns.google", "8.8.8.8")
"""Speaks DNS over HTTPS; what it was asked is in ``doh.jsonl``."""
HOSTS = (
    Host("api.voice.test", "198.18.0.1"),
    Host("tracker.ads.test", "198.18.0.2"),
    Host("alias.voice.test", "198.18.0.1", "api.voice.test"),
    Host("hidden.voice.test", "198.18.0.3"),
    RESOLVER,
)


def make_authority(folder: Path) -> Path:
    """A certificate authority and one server certificate; the authority's certificate."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    def name(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)

    def begun(subject: str, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(name(subject))
            .issuer_name(name("Test authority"))
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=2))
        )

    ca = (
        begun("Test authority", ca_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(ca_key, hashes.SHA256())
    )
    names = [x509.DNSName(host.name) for host in HOSTS]
    server = (
        begun("server", key.public_key())
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "ca.pem").write_bytes(ca.public_bytes(pem))
    (folder / "server.pem").write_bytes(
        server.public_bytes(pem)
        + key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder / "ca.pem"


class _Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = f"hello from {self.headers['Host']}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def cloud(folder: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    for address in {host.address for host in HOSTS} - {RESOLVER.address}:
        server = http.server.ThreadingHTTPServer((address, 443), _Answer)
        server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
        threading.Thread(target=server.serve_forever, daemon=True).start()
    resolver(folder)


def resolver(folder: Path) -> None:
    """DNS over HTTPS (RFC 8484), answered by the lab's own name server."""
    import asyncio

    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    config = Config()
    config.bind = [f"{RESOLVER.address}:443"]
    config.certfile = config.keyfile = str(folder / "server.pem")
    config.loglevel = "ERROR"

    async def answer(scope, receive, send) -> None:
        if scope["type"] != "http":
            return
        event = await receive()
        query, answered = event["body"], b""
        if scope["path"] == "/dns-query" and scope["method"] == "POST" and query:
            labels = query[12 : query.index(0, 12)]
            with (folder / "doh.jsonl").open("a") as out:
                out.write(json.dumps([scope["http_version"], _name(labels)]) + "\n")
            answered = await asyncio.to_thread(_asked, query)
        kind = (b"content-type", b"application/dns-message")
        status = 200 if answered else 400
        await send({"type": "http.response.start", "status": status, "headers": [kind]})
        await send({"type": "http.response.body", "body": answered})

    asyncio.run(serve(answer, config, shutdown_trigger=asyncio.Event().wait))


def _asked(query: bytes) -> bytes:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.settimeout(5)
        link.sendto(query, (NAME_SERVER, 53))
        return link.recv(4096)


def _name(labels: bytes) -> str:
    found = []
    while labels:
        found.append(labels[1 : 1 + labels[0]].decode())
        labels = labels[1 + labels[0] :]
    return ".".join(found)


def speaker(path: str) -> None:
    """Run each command that comes over a Unix socket; answer status and output."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"{path}.new")
        server.listen()
        Path(f"{path}.new").rename(path)  # whoever sees it can connect
        while True:
            connection, _ = server.accept()
            threading.Thread(target=_obey, args=(connection,), daemon=True).start()


def _obey(connection: socket.socket) -> None:
    with connection, connection.makefile("rw") as stream:
        command = json.loads(stream.readline())
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        stream.write(json.dumps([done.returncode, done.stdout + done.stderr]) + "\n")


def tell(path: Path, *command: str) -> tuple[int, str]:
    """Have a speaker run a command: exit status and output."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        with client.makefile("rw") as stream:
            stream.write(json.dumps(command) + "\n")
            stream.flush()
            status, output = json.loads(stream.readline())
            return status, output


if __name__ == "__main__":
    {"cloud": lambda arg: cloud(Path(arg)), "speaker": speaker}[sys.argv[1]](sys.argv[2])
