"""mitmdump as a transparent proxy for the devices that trust it."""

from __future__ import annotations

import json
import socket
import ssl
from ipaddress import IPv4Address
from pathlib import Path

from echoaudit.errors import BadInput
from echoaudit.instruments.gateway.child import Child
from echoaudit.study.models import LearnSettings

START_PATIENCE = 30.0
STREAM_FROM = "3m"
"""Bodies larger than this pass through without being kept."""
ADDON = Path(__file__).with_name("addon.py")


def free_port() -> int:
    """A TCP port that nobody uses on this machine."""
    with socket.socket() as probe:
        probe.bind(("", 0))
        port: int = probe.getsockname()[1]
        return port


class Proxy:
    """The running mitmdump, one for all trusting devices.

    A link per client in the folder ``flows`` says which file the client's flows go to; the link
    is read for each flow, so sessions begin and end without a word to mitmdump.
    """

    def __init__(
        self,
        state: Path,
        address: IPv4Address,
        port: int,
        *,
        folder: Path | None,
        upstream: Path | None,
        learn: LearnSettings | None = None,
    ) -> None:
        """Start it; :meth:`wait` until it is there.

        Args:
            state: folder for links, key log and messages.
            address: the gateway's address on the speakers' network.
            port: where redirected connections arrive.
            folder: mitmproxy's configuration folder, with its authority.
            upstream: certificates trusted towards servers besides the system's.
            learn: when a name that a device refuses passes through; never when absent.
        """
        self._address, self._port = str(address), port
        self._flows = state / "flows"
        self._flows.mkdir(exist_ok=True)
        for old in self._flows.iterdir():
            if old.is_symlink():
                old.unlink()
        self._keys = state / "keys.log"
        settings = {
            "confdir": folder or state / "authority",
            "stream_large_bodies": STREAM_FROM,
            "connection_strategy": "lazy",
            "ssl_verify_upstream_trusted_ca": trusted(state, upstream),
        }
        arguments = ["--quiet", "--mode", "transparent", "--scripts", str(ADDON)]
        arguments += ["--listen-host", self._address, "--listen-port", str(port)]
        arguments += [
            word for key, value in settings.items() for word in ("--set", f"{key}={value}")
        ]
        self.child = Child(
            "mitmdump",
            arguments,
            state / "mitmdump.log",
            environment={
                "MITMPROXY_SSLKEYLOGFILE": str(self._keys),
                "ECHOAUDIT_FLOWS": str(self._flows),
                "ECHOAUDIT_LEARN": _learning(learn, state / "learned.json"),
            },
        )

    def wait(self) -> None:
        """Wait until it takes connections."""
        self.child.wait_until(self._answers, START_PATIENCE)

    def _answers(self) -> bool:
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex((self._address, self._port)) == 0

    def key_position(self) -> int:
        """Where the key log ends now."""
        return self._keys.stat().st_size if self._keys.exists() else 0

    def keys_since(self, position: int) -> list[str]:
        """Lines of the key log from a position on."""
        if not self._keys.exists():
            return []
        with self._keys.open(encoding="ascii") as log:
            log.seek(position)
            return log.readlines()

    def assign(self, ip: str, file: Path) -> None:
        """Have a client's flows written to a file, and to its ``.jsonl``, from now on."""
        for each in (file, file.with_suffix(".jsonl")):
            each.touch(mode=0o600)
        link = self._flows / f".{ip}.new"
        link.unlink(missing_ok=True)
        link.symlink_to(file.resolve())
        link.replace(self._flows / ip)

    def release(self, ip: str) -> None:
        """Have a client's flows kept apart again (in ``between-IP.mitm`` and ``.jsonl``)."""
        (self._flows / ip).unlink(missing_ok=True)


def _learning(learn: LearnSettings | None, file: Path) -> str:
    """The addon's settings; empty when it is not to learn."""
    if learn is None:
        return ""
    return json.dumps(
        {"file": str(file), "refusals": learn.refusals, "seconds": learn.hours * 3600}
    )


def trusted(state: Path, upstream: Path | None) -> Path:
    """A file with the system's authorities and ``upstream``'s.

    Raises:
        BadInput: ``upstream`` cannot be read.
    """
    paths = ssl.get_default_verify_paths()
    system = next(
        (Path(p) for p in (paths.cafile, paths.openssl_cafile) if p and Path(p).is_file()), None
    )
    parts = [system.read_bytes()] if system else []
    if upstream is not None:
        try:
            parts.append(upstream.read_bytes())
        except OSError as error:
            reason = error.strerror or "unreadable"
            raise BadInput(f"gateway.upstream_authority: {reason}", file=upstream) from error
    together = state / "upstream.pem"
    together.write_bytes(b"\n".join(parts))
    together.chmod(0o600)
    return together
