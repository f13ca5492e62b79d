"""Fresh namespaces for the lab's machine: without root where allowed, else as root."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from echoaudit.errors import Unavailable
from echoaudit.lab import machine_init

PROGRAMS = {
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "mount": "mount",
    "ip": "iproute2",
    "nft": "nftables",
    "dnsmasq": "dnsmasq-base",
    "udhcpc": "udhcpc",
}
SYSTEM_FOLDERS = ["/usr/local/sbin", "/usr/sbin", "/sbin"]
"""Searched as well: an ordinary user's path often lacks them."""
FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGWINCH)

_COMMON = ["--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child"]
_ROOTLESS = ["--user", "--map-root-user"]
# Everything the machine does that a kernel or a container may refuse.
_PROBE = (
    "mount -t tmpfs tmpfs /run && ip link add name lan0 type bridge && ip netns add probe && "
    "ip link add name up0 type veth peer name eth0 netns probe && nft add table inet probe"
)


def available() -> str | None:
    """Why the lab's machine cannot be made here; None when it can.

    Tries it: takes some hundredths of a second and leaves nothing behind.
    """
    return _usable()[1]


def _usable() -> tuple[list[str], str | None]:
    """The options for ``unshare`` that work here, or why none does."""
    missing = missing_programs()
    if missing:
        return [], f"missing programs: {', '.join(missing)}"
    reasons = []
    for options in _choices():
        reason = _refusal(options)
        if reason is None:
            return options, None
        reasons.append(reason)
    return [], "; ".join(reasons)


def _choices() -> list[list[str]]:
    """Root goes without a user namespace: in one it could not write other users' folders."""
    rootless = [*_ROOTLESS, *_COMMON]
    return [_COMMON, rootless] if os.geteuid() == 0 else [rootless]


def _refusal(options: list[str]) -> str | None:
    done = subprocess.run(
        [_program("unshare"), *options, "sh", "-c", _PROBE],
        capture_output=True,
        text=True,
        check=False,
        env=_environment(os.environ),
    )
    if done.returncode == 0:
        return None
    kind = "user namespaces" if "--user" in options else "namespaces for root"
    words = done.stderr.strip().splitlines() or [f"status {done.returncode}"]
    return f"{kind} are refused here ({words[-1].strip()})"


def missing_programs() -> list[str]:
    """Programs the machine needs that are not installed."""
    path = _environment(os.environ)["PATH"]
    return [name for name in PROGRAMS if shutil.which(name, path=path) is None]


def fix() -> str:
    """What makes the machine possible where `available` says that it is not."""
    missing = missing_programs()
    if missing:
        return f"apt-get install {' '.join(sorted({PROGRAMS[name] for name in missing}))}"
    return (
        "run as root (sudo), or allow user namespaces (sysctl user.max_user_namespaces=10000"
        " kernel.unprivileged_userns_clone=1 kernel.apparmor_restrict_unprivileged_userns=0)"
    )


def _environment(base: Mapping[str, str]) -> dict[str, str]:
    """The environment with the system folders on its path."""
    return {**base, "PATH": os.pathsep.join([base.get("PATH", os.defpath), *SYSTEM_FOLDERS])}


def _program(name: str) -> str:
    return shutil.which(name, path=_environment(os.environ)["PATH"]) or name


def inside() -> bool:
    """Whether this process runs on a lab's machine."""
    try:
        return machine_init.MARK.read_text(encoding="ascii") == machine_init.network()
    except OSError:
        return False


def enter(argv: Sequence[str], *, env: Mapping[str, str] | None = None) -> NoReturn:
    """Run a command on a fresh machine and end as it ends.

    The command has its own network, processes, mounts and /run. SIGINT, SIGTERM and SIGHUP sent
    to this process reach the command; when this process ends, however it does, all of the machine
    ends. Call it before threads are started.

    Raises:
        Unavailable: neither user namespaces nor root rights are to be had here.
    """
    options, reason = _usable()
    if reason is not None:
        raise Unavailable(f"the lab needs namespaces of its own: {reason}", fix=fix())
    reading, writing = os.pipe()
    script = str(Path(machine_init.__file__).resolve())
    first = [sys.executable, "-I", "-S", script, str(reading)]
    machine = subprocess.Popen(
        [_program("unshare"), *options, *first, *argv],
        env=_environment(os.environ if env is None else env),
        pass_fds=(reading,),
        process_group=0,
    )
    os.close(reading)
    _forward_signals(writing)
    sys.exit(_exit_status(machine.wait()))


def _forward_signals(pipe: int) -> None:
    def forward(number: int, _frame: object) -> None:
        try:
            os.write(pipe, bytes([number]))
        except BrokenPipeError:
            return  # The machine has just ended, which the wait for it will tell.

    for number in FORWARDED:
        signal.signal(number, forward)


def _exit_status(code: int) -> int:
    return code if code >= 0 else 128 - code
