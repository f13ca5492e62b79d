"""Commands and connections on another machine, over SSH that asks nothing."""

from __future__ import annotations

import shlex
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from echoaudit.errors import Unavailable
from echoaudit.instruments.gateway import asking
from echoaudit.instruments.gateway.child import need_program
from echoaudit.study.models import RemoteSettings

ANSWER_PATIENCE = 30.0
_LAST_WORDS = 2.0
"""Seconds for a connection that broke to say why."""

_OPTIONS = {
    "BatchMode": "yes",
    "StrictHostKeyChecking": "yes",
    "ConnectTimeout": "10",
    "ServerAliveInterval": "5",
    "ServerAliveCountMax": "3",
    "ControlMaster": "no",
    "ControlPath": "none",
    "ClearAllForwardings": "yes",
    "ForwardAgent": "no",
    "ForwardX11": "no",
    "PermitLocalCommand": "no",
    "RemoteCommand": "none",
    "RequestTTY": "no",
}
"""No questions, no unknown host, a dead connection noticed within 15 s, nothing but the command."""

# Runs its arguments until they end by themselves or its input does: when the connection breaks,
# however it breaks, nothing stays behind on the other machine.
_UNTIL_INPUT_ENDS = (
    'exec 3<&0; "$@" </dev/null 3<&- & child=$!;'
    ' { read -r _ <&3; kill "$child"; } >/dev/null 2>&1 & reader=$!;'
    ' wait "$child"; status=$?; kill "$reader" 2>/dev/null; exit "$status"'
)


def until_input_ends(command: Sequence[str]) -> list[str]:
    """A command that ends with its connection."""
    return ["sh", "-c", _UNTIL_INPUT_ENDS, "sh", *command]


def host_of(settings: RemoteSettings) -> str:
    """The machine's name, without a user."""
    return settings.ssh.rpartition("@")[2]


def arguments(settings: RemoteSettings, command: Sequence[str]) -> list[str]:
    """Arguments for ssh that run a command there; each word arrives there as it is here."""
    words = ["sudo", "-n", *command] if settings.sudo else command
    return [*_options(settings, "ERROR"), "--", settings.ssh, shlex.join(words)]


def _options(settings: RemoteSettings, level: str) -> list[str]:
    given = {**_OPTIONS, "LogLevel": level}
    options = [word for key, value in given.items() for word in ("-o", f"{key}={value}")]
    if settings.config is not None:
        options = ["-F", str(settings.config.absolute()), *options]
    return options


def run(settings: RemoteSettings, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run a command there; status 255 when ssh itself failed."""
    words = [need_program("ssh"), *arguments(settings, command)]
    try:
        return subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=ANSWER_PATIENCE,
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(words, 255, "", "no answer")


def ask(settings: RemoteSettings, *command: str) -> str:
    """What a command there answers.

    Raises:
        Unavailable: it failed, or the machine is not reached.
    """
    done = run(settings, command)
    if done.returncode != 0:
        raise Unavailable(reason(settings, done), fix=fix(settings, done))
    return done.stdout


def reason(settings: RemoteSettings, done: subprocess.CompletedProcess[str]) -> str:
    """Why a command failed, in one line."""
    words = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    said = words[-1] if words else f"status {done.returncode}"
    host = host_of(settings)
    itself = done.returncode == 255
    return f"{host} cannot be reached by ssh: {said}" if itself else f"{host}: {said}"


def fix(settings: RemoteSettings, done: subprocess.CompletedProcess[str]) -> str:
    """What may make the connection work."""
    config = f"-F {shlex.quote(str(settings.config))} " if settings.config else ""
    if "host key" in done.stderr.lower():
        return f"compare its key with the machine's own, once by hand: ssh {config}{settings.ssh}"
    return f"make this work without a question: ssh {config}-o BatchMode=yes {settings.ssh} true"


@contextmanager
def through(
    settings: RemoteSettings, address: str, port: int, until: float
) -> Iterator[socket.socket]:
    """A TCP connection that begins on the other machine; its SSH server opens it.

    Nothing has to be installed there. ``until`` is a time of ``time.monotonic``.

    Raises:
        asking.Unanswered: that machine could not connect, or the connection ended.
    """
    options = _options(settings, "INFO")  # On which ssh says why the other side could not connect.
    words = [need_program("setpriv"), "--pdeathsig", "KILL", need_program("ssh"), *options]
    words += ["-W", f"{address}:{port}", "--", settings.ssh]
    near, far = socket.socketpair()
    with near:
        with far:
            link = subprocess.Popen(
                words,
                stdin=far.fileno(),
                stdout=far.fileno(),
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
            )
        assert link.stderr is not None
        try:
            near.settimeout(asking.left(until))
            yield near
        except (asking.Unanswered, ConnectionError) as error:
            closed = isinstance(error, ConnectionError) or error.failure == "closed"
            raise (asking.Unanswered(_failure(link)) if closed else error) from error
        finally:
            link.kill()
            link.wait()
            link.stderr.close()


def _failure(link: subprocess.Popen[str]) -> asking.Failure:
    """Why a connection did not come about, by what ssh said; ``closed`` when it did."""
    try:
        _, said = link.communicate(timeout=_LAST_WORDS)
    except subprocess.TimeoutExpired:
        return "closed"
    if "Connection refused" in said:
        return "refused"
    if "timed out" in said:
        return "timeout"
    return "unreachable" if "open failed" in said or "administratively" in said else "closed"
