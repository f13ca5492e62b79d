"""TLS secrets of one capture: picked from the proxy's key log, put into the capture file."""

from __future__ import annotations

import mmap
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

from echoaudit.errors import Unavailable
from echoaudit.instruments.gateway.child import need_program

# A TLS record holding a ClientHello: type, version, length, message type, length, version, random.
_CLIENT_HELLO = re.compile(rb"\x16\x03[\x00-\x03]..\x01...\x03\x03(.{32})", re.DOTALL)
_SECRET = re.compile(r"[A-Z0-9_]+ ([0-9a-f]{64}) [0-9a-f]+")


def client_randoms(capture: Path) -> frozenset[str]:
    """Random values (hexadecimal) of the ClientHellos whose beginning stands in a capture file."""
    if capture.stat().st_size == 0:
        return frozenset()
    with capture.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return frozenset(found[1].hex() for found in _CLIENT_HELLO.finditer(data))


def of_capture(key_log: Iterable[str], randoms: frozenset[str]) -> list[str]:
    """The secrets that belong to a capture: the proxy logs those of all its clients together."""
    return [
        line
        for line in (raw.strip() for raw in key_log)
        if (found := _SECRET.fullmatch(line)) and found[1] in randoms
    ]


def inject(capture: Path, keys: Path) -> None:
    """Put the secrets into the capture file, so that it can be read without another file."""
    whole = capture.with_suffix(".with-keys.pcapng")
    whole.touch(mode=0o600)
    done = subprocess.run(
        [need_program("editcap"), "--inject-secrets", f"tls,{keys}", capture, whole],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        whole.unlink(missing_ok=True)
        raise Unavailable(f"editcap could not add the TLS secrets: {done.stderr.strip()[:200]}")
    whole.replace(capture)
