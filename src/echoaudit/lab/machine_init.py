"""First process of the lab's machine, run as a script inside fresh namespaces.

Standard library only and no imports of the project: it starts in a few milliseconds. Its end ends
every process of the machine, and it ends when its parent does.

Usage: machine_init.py PIPE COMMAND...   (PIPE: descriptor; bytes are signals, its end is the end)
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

MARK = Path("/run/echoaudit-machine")
"""Exists only on the private /run of a machine; holds its network namespace's identity."""
RESOLV = Path("/run/echoaudit-resolv.conf")


def prepare() -> None:
    """Give the machine its own /run, resolv.conf, loopback and low ports."""
    resolv = Path("/etc/resolv.conf").resolve()
    _run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run")
    RESOLV.touch()
    if resolv.is_relative_to("/run"):
        resolv.parent.mkdir(parents=True, exist_ok=True)
        resolv.touch()
    if resolv.exists():
        _run("mount", "--bind", str(RESOLV), str(resolv))
    user = Path("/run/user")
    user.mkdir(mode=0o700)
    os.environ["XDG_RUNTIME_DIR"] = str(user)
    _run("ip", "link", "set", "lo", "up")
    Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").write_text("0\n", encoding="ascii")
    MARK.write_text(network(), encoding="ascii")


def network() -> str:
    """Identity of this process's network namespace."""
    return str(Path("/proc/self/ns/net").readlink())


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"the lab's machine could not start: {' '.join(command)}: {done.stderr.strip()}")


def supervise(pipe: int, command: list[str]) -> int:
    """Run the command, pass signals on, reap orphans; the command's exit status."""
    wake, bell = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    signal.set_wakeup_fd(bell)
    # Its own process group: one Ctrl-C must arrive once, by the pipe.
    child = subprocess.Popen(command, process_group=0)
    while True:
        readable, _, _ = select.select([pipe, wake], [], [])
        if pipe in readable:
            numbers = os.read(pipe, 64)
            if not numbers:
                return 128 + signal.SIGKILL
            for number in numbers:
                os.kill(child.pid, number)
        if wake in readable:
            os.read(wake, 64)
            status = _reap(child.pid)
            if status is not None:
                return status


def _reap(runner: int) -> int | None:
    """Collect ended children; the exit status of the runner when it is among them."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return None
        if pid == 0:
            return None
        if pid == runner:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


if __name__ == "__main__":
    prepare()
    os._exit(supervise(int(sys.argv[1]), sys.argv[2:]))
