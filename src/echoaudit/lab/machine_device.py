"""A speaker's operating system, run as a script in its namespaces: gets on the network, then
becomes the speaker's program.

Standard library only and no imports of the project: many start at once.

Usage: machine_device.py RESOLV DHCP-SCRIPT LOG COMMAND...
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

NUDGE = 0.25
"""Seconds between questions for an address; udhcpc alone would take whole seconds."""
_POLL = 0.03


def main(resolv: Path, script: str, log: Path, command: list[str]) -> None:
    """Wait for an address, then run the command in this process."""
    _run("mount", "--bind", str(resolv), str(Path("/etc/resolv.conf").resolve()))
    _run("ip", "link", "set", "lo", "up")
    _run("ip", "link", "set", "eth0", "up")
    with log.open("ab") as messages:
        client = subprocess.Popen(
            ["udhcpc", "-f", "-i", "eth0", "-s", script, "-t", "20", "-T", "1", "-A", "1"],
            stdin=subprocess.DEVNULL,
            stdout=messages,
            stderr=messages,
            env={**os.environ, "RESOLV": str(resolv)},
        )
    nudged = time.monotonic()
    while resolv.stat().st_size == 0:
        time.sleep(_POLL)
        if client.poll() is not None:
            sys.exit(f"udhcpc ended with status {client.returncode}")
        if time.monotonic() - nudged > NUDGE and catches(client.pid, signal.SIGUSR1):
            nudged = time.monotonic()
            client.send_signal(signal.SIGUSR1)
    os.execvp(command[0], command)


def catches(process: int, number: signal.Signals) -> bool:
    """Whether a process has a handler for a signal, which until then would end it."""
    status = Path(f"/proc/{process}/status").read_text()
    (caught,) = (line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught, 16) >> (number - 1) & 1)


def _run(*command: str) -> None:
    subprocess.run(command, check=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), sys.argv[4:])
