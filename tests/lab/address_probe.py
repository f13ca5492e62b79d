"""Inside a fresh network namespace: put the world's addresses up, serve it, try every host."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import sys
from pathlib import Path

import httpx

from echoaudit.lab.accounts import make_accounts, write_accounts
from echoaudit.lab.echo_quic import QuicTransport
from echoaudit.lab.world import Host, load_world


def main() -> None:
    state = Path(sys.argv[1])
    hosts = load_world("traps").hosts()
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for address in {host.address for host in hosts}:
        subprocess.run(["ip", "address", "add", f"{address}/32", "dev", "lo"], check=True)
    Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").write_text("0")
    write_accounts(state / "accounts.json", make_accounts(["a-1"]))
    command = [sys.executable, "-m", "echoaudit.lab.cloud", "--world", "traps"]
    command += ["--accounts", str(state / "accounts.json"), "--state", str(state)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as cloud:
        if cloud.stdout is None or cloud.stdout.readline() != "ready\n":
            sys.exit("the cloud did not start")
        for host in hosts:
            print(json.dumps(probe(host, state / "ca" / "ca.pem")))
        cloud.terminate()


def probe(host: Host, authority: Path) -> dict[str, object]:
    versions = [
        v for v in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3) if speaks(host, authority, v)
    ]
    found = {"tls": [v.name for v in versions], "http": speaks(host, authority, versions[0])}
    planted = {
        "tls": ["TLSv1_2" if host.tls == "1.2" else "TLSv1_3"],
        "http": "http/1.1" if host.http == "1.1" else "h2",
    }
    found["port 80"], planted["port 80"] = redirect(host), f"https://{host.name}/x?y"
    found["unnamed"], planted["unnamed"] = unnamed(host, authority), list(host.certificate)
    planted["quic"] = host.http == "3"
    # A busy machine may be late with an answer that there is.
    found["quic"] = any(quic(host, authority) for _ in range(10 if planted["quic"] else 1))
    return {"host": host.name, "found": found, "planted": planted}


def speaks(host: Host, authority: Path, version: ssl.TLSVersion) -> str | None:
    context = ssl.create_default_context(cafile=str(authority))
    context.minimum_version = context.maximum_version = version
    context.set_alpn_protocols(["h2", "http/1.1"])
    try:
        with (
            socket.create_connection((host.address, 443), timeout=60) as sock,
            context.wrap_socket(sock, server_hostname=host.name) as tls,
        ):
            return tls.selected_alpn_protocol()
    except ssl.SSLError:
        return None


def unnamed(host: Host, authority: Path) -> list[str]:
    """Names that a client that gives none is shown, on a certificate for the address."""
    context = ssl.create_default_context(cafile=str(authority))
    with (
        socket.create_connection((host.address, 443), timeout=60) as sock,
        context.wrap_socket(sock, server_hostname=host.address) as tls,
    ):
        return [name for kind, name in tls.getpeercert()["subjectAltName"] if kind == "DNS"]


def quic(host: Host, authority: Path) -> bool:
    """Whether a request over QUIC is answered."""
    with httpx.Client(transport=QuicTransport(host.address, [authority])) as client:
        try:
            answer = client.post(f"https://{host.name}/nothing", content=b"x" * 5000)
        except (httpx.ConnectError, httpx.ConnectTimeout):
            return False
    return answer.http_version == "HTTP/3" and answer.status_code == 404


def redirect(host: Host) -> str:
    with socket.create_connection((host.address, 80), timeout=60) as sock:
        sock.sendall(
            f"GET /x?y HTTP/1.1\r\nHost: {host.name}\r\nConnection: close\r\n\r\n".encode()
        )
        answer = sock.makefile("rb").read().decode()
    return next(
        line.split(" ", 1)[1]
        for line in answer.splitlines()
        if line.lower().startswith("location:")
    )


if __name__ == "__main__":
    main()
