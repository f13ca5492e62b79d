"""The air between loudspeakers, Echos and microphones: one virtual room per account.

A room is two null sinks of a PulseAudio server: what the account's loudspeaker plays into
``ACCOUNT-room`` is what its Echo's ear records; what the Echo says into ``ACCOUNT-reply`` is what
the account's microphone records. The runner meets them as ALSA devices ``ACCOUNT-loudspeaker`` and
``ACCOUNT-microphone`` among PyAudio's devices, as it would meet sound cards. What loses its room is
led ``NOWHERE``.

A server takes 64 connections and a room needs four: many rooms are spread over several servers.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType

import numpy as np

from echoaudit.errors import Unavailable

RATE = 16_000
START_TIMEOUT = 60.0
SOCKET_LIMIT = 107
"""Longest path of a unix socket, in bytes."""
ROOMS = 12
"""Of one server."""
NOISE_SECONDS = 20
NOWHERE = "nowhere"
"""The default sink, which nobody hears."""

INSTALL = "sudo apt-get install pulseaudio libasound2-plugins"


def loudspeaker(account: str) -> str:
    """The ALSA name of an account's loudspeaker."""
    return f"{account}-loudspeaker"


def microphone(account: str) -> str:
    """The ALSA name of an account's microphone."""
    return f"{account}-microphone"


def ear(account: str) -> str:
    """The PulseAudio source that an account's Echo hears."""
    return f"{account}-room.monitor"


def mouth(account: str) -> str:
    """The PulseAudio sink that an account's Echo speaks into."""
    return f"{account}-reply"


def server_of(account: str, folder: Path) -> Path:
    """The socket of the sound server that has an account's room."""
    return folder / f"{account}.pulse"


def socket_of(account: str, folder: Path) -> Path:
    """Where an account's Echo hears and speaks in the fast air."""
    return folder / f"{account}.sound"


class Air:
    """Sound servers with one room per account; a context manager.

    ``folder`` holds their sockets, settings and logs and must be visible to every process that
    speaks or hears. ``noise`` is the standard deviation of white noise at each microphone, as a
    fraction of full scale; the Echo's ear adds its own. ``Unavailable`` when PulseAudio is
    missing or does not start.
    """

    def __init__(self, accounts: Sequence[str], folder: Path, noise: float = 0.0) -> None:
        self._accounts = tuple(accounts)
        self._folder = folder.resolve()
        self._noise = noise
        self._running = ExitStack()

    def environment(self) -> dict[str, str]:
        """Environment variables through which a process finds these rooms, and no other sound.

        PulseAudio's own programs find the rooms of the first server; for any account's, name
        `server` to them.
        """
        return _environment(self._folder, self._folder / "0")

    def server(self, account: str) -> Path:
        """The socket of the sound server that has an account's room."""
        return server_of(account, self._folder)

    def __enter__(self) -> Air:
        _check_path(self._folder / "0" / "pulse")
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        settings = alsa_settings(self._accounts, self._folder)
        (self._folder / "asound.conf").write_text(settings, encoding="utf-8")
        (self._folder / "client.conf").write_text("autospawn = no\nenable-shm = no\n")
        with ExitStack() as starting:
            for number, begin in enumerate(range(0, len(self._accounts), ROOMS)):
                accounts = self._accounts[begin : begin + ROOMS]
                starting.enter_context(_server(accounts, self._folder, self._folder / str(number)))
            if self._noise:
                self._make_noise(starting)
            self._running = starting.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._running.close()

    def _make_noise(self, running: ExitStack) -> None:
        file = self._folder / "noise.raw"
        file.write_bytes(white_noise(self._noise))
        environment = {**os.environ, **self.environment()}
        forever = f"while cat {shlex.quote(str(file))}; do :; done"
        for account in self._accounts:
            server = shlex.quote(f"--server=unix:{self.server(account)}")
            play = f"{forever} | pacat --playback {PCM} {server} --device={mouth(account)}"
            running.enter_context(_Process(["sh", "-c", play], environment))


def _check_path(socket: Path) -> None:
    # PulseAudio reads a server's address as a list separated by blanks.
    path = str(socket)
    if len(os.fsencode(path)) > SOCKET_LIMIT or len(path.split()) > 1:
        raise Unavailable(
            f"{path!r} cannot be a sound server's socket: "
            f"it has blanks or exceeds {SOCKET_LIMIT} bytes",
            fix="choose another folder, such as one in /tmp",
        )


def _environment(folder: Path, home: Path) -> dict[str, str]:
    """What a process of the server that lives in ``home``, or its client, must know."""
    return {
        "ALSA_CONFIG_PATH": str(folder / "asound.conf"),
        "PULSE_SERVER": f"unix:{home / 'pulse'}",
        "PULSE_COOKIE": str(home / "cookie"),
        "PULSE_CLIENTCONFIG": str(folder / "client.conf"),
        "PULSE_STATE_PATH": str(home / "state"),
        "PULSE_RUNTIME_PATH": str(home / "runtime"),
        "JACK_NO_START_SERVER": "1",
    }


@contextmanager
def _server(accounts: Sequence[str], folder: Path, home: Path) -> Iterator[None]:
    """One sound server with the rooms of ``accounts``, which lives in ``home``."""
    for each in (home, home / "state", home / "runtime"):
        each.mkdir(parents=True, exist_ok=True, mode=0o700)
    socket, script, log = home / "pulse", home / "server.pa", home / "server.log"
    script.write_text(server_script(accounts, socket), encoding="utf-8")
    for account in accounts:
        link = server_of(account, folder)
        link.unlink(missing_ok=True)
        link.symlink_to(socket)
    environment = {**os.environ, **_environment(folder, home)}
    own = {"HOME": str(home), "XDG_RUNTIME_DIR": str(home / "runtime")}
    with _Process(_command(script, log), {**environment, **own}) as server:
        deadline = time.monotonic() + START_TIMEOUT
        while _sinks(environment) != 1 + 2 * len(accounts):
            if server.ended() or time.monotonic() > deadline:
                raise Unavailable(f"the lab's sound server did not start: {_last_words(log)}")
            time.sleep(0.02)
        yield


def _command(script: Path, log: Path) -> list[str]:
    if shutil.which("pulseaudio") is None:
        raise Unavailable("the lab's air needs PulseAudio", fix=INSTALL)
    options = "--daemonize=no --exit-idle-time=-1 --disable-shm=yes --enable-memfd=no -n"
    return ["pulseaudio", *options.split(), f"--log-target=file:{log}", "-F", str(script)]


def _sinks(environment: Mapping[str, str]) -> int:
    """How many sinks a server has; none while it does not answer."""
    command = ["pactl", "list", "short", "sinks"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    return len(done.stdout.splitlines())


def _last_words(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return lines[-1] if lines else "it said nothing"


PCM = f"--raw --rate={RATE} --channels=1 --format=s16le"
"""How pacat and parec are told the format of all sound in the lab."""


class _Process:
    """A child in a process group of its own, which is ended with it; a context manager."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self._child = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            process_group=0,
        )

    def ended(self) -> bool:
        return self._child.poll() is not None

    def __enter__(self) -> _Process:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # The child is not reaped yet, so its number cannot have passed to another group.
        if not self.ended():
            os.killpg(self._child.pid, 15)
        try:
            self._child.wait(5)
        except subprocess.TimeoutExpired:
            os.killpg(self._child.pid, 9)
            self._child.wait()


def server_script(accounts: Sequence[str], socket: Path) -> str:
    """PulseAudio's start script: a socket, two sinks per account, and a default that is no room.

    PulseAudio leads streams whose sink or source has gone to the default one: without one of its
    own that would be another account's room.
    """
    names = [*(f"{account}-{kind}" for account in accounts for kind in ("room", "reply")), NOWHERE]
    lines = [
        f"load-module module-native-protocol-unix socket={socket} auth-anonymous=1",
        *map(_sink, names),
        f"set-default-sink {NOWHERE}",
        f"set-default-source {NOWHERE}.monitor",
    ]
    return "\n".join(lines) + "\n"


def _sink(name: str) -> str:
    # Without norewinds an idle sink renders two seconds at a time, and the first sound waits.
    return (
        f"load-module module-null-sink sink_name={name} "
        f"rate={RATE} channels=1 format=s16le norewinds=1"
    )


def alsa_settings(accounts: Sequence[str], folder: Path) -> str:
    """An ALSA configuration in which each account has a loudspeaker and a microphone.

    Without ``default`` PortAudio aborts; here it is a device that leads nowhere, so that a
    forgotten device name can never reach somebody's room.
    """
    devices = [
        part
        for account, server in ((account, server_of(account, folder)) for account in accounts)
        for part in (
            _device(loudspeaker(account), "playback", f"{account}-room", server),
            _device(microphone(account), "capture", f"{account}-reply.monitor", server),
        )
    ]
    return "\n".join(["pcm.default { type null }", *devices]) + "\n"


def _device(name: str, direction: str, target: str, socket: Path) -> str:
    # asym: a loudspeaker must not be offered as a microphone, nor the other way round.
    slave = f'type pulse server "unix:{socket}" device "{target}"'
    hint = f'hint {{ show on description "{name}" }}'
    return f'pcm."{name}" {{ type asym {direction}.pcm {{ {slave} }} {hint} }}'


def white_noise(level: float) -> bytes:
    """Raw PCM of white noise; ``level`` is its standard deviation as a fraction of full scale."""
    noise = np.random.default_rng(1).normal(0, level * 32768, NOISE_SECONDS * RATE)
    return np.clip(np.rint(noise), -32768, 32767).astype("<i2").tobytes()
