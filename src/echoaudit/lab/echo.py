"""The simulated Echo: ``python -m echoaudit.lab.echo --account fashion-1 …``.

A device of its own: it hears its room, talks TLS to its cloud, answers aloud and contacts whom it
is told to. It knows its cloud's address, its serial number and its token, and nothing else. It
never ends by itself; what goes wrong is one line on stderr.
"""

from __future__ import annotations

import random
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path

import click

from echoaudit.lab.acoustics import acoustics
from echoaudit.lab.echo_cloud import Cloud, Directive, Habit, Provision, wav
from echoaudit.lab.echo_contacts import Contact, ContactLog, Network
from echoaudit.lab.echo_ear import Invitation, Recording, Samples, WakeWord, commands
from echoaudit.lab.echo_player import Player
from echoaudit.lab.echo_rooms import Room, ServerRoom, SocketRoom
from echoaudit.lab.echo_sends import Utterance
from echoaudit.lab.hearing import Command, Hearing, Understood
from echoaudit.study.models import Room as RoomSettings

SORRY = "Sorry, I didn't understand that."
NO_CLOUD = "Sorry, I'm having trouble connecting right now."
CONNECTIONS = 4
"""Contacts made at once."""
PATIENCE = 20.0
"""Seconds for which sound stands still, at most, until a command's contacts are made."""
LISTENS = 8.0
"""Seconds it waits for an answer to a question, as real ones do."""
FIRST_RETRY, LONGEST_RETRY = 0.25, 4.0


class Echo:
    """One Echo: its parts, and the turns of its conversations one after the other."""

    def __init__(
        self,
        room: Room,
        cloud: Cloud,
        network: Network,
        serial: str,
        log: Callable[[str], None],
    ) -> None:
        self._room = room
        self._say = log
        self._cloud = cloud
        self._network = network
        self._random = random.Random(serial)
        self._turns = ThreadPoolExecutor(1, "turn")
        self._contacts = ThreadPoolExecutor(CONNECTIONS, "contact")
        self._commands: tuple[Command, ...] = ()
        self._hearing: Hearing | None = None
        self._ready = threading.Event()
        self._invitation = Invitation()
        self._asked: str | None = None
        self._player: Player | None = None

    def run(self) -> None:
        """Listen for ever."""
        self._say("listening")
        threading.Thread(target=self._settle, daemon=True).start()
        if self._room.waits:
            self._ready.wait()
        for recording in commands(self._room.frames(), WakeWord(), self._wake, self._invitation):
            turn = self._turns.submit(self._guarded, partial(self._turn, recording))
            if self._room.waits:
                turn.result()

    # --- turns ---

    def _wake(self) -> None:
        self._say("awake")
        self._hush()

    def _turn(self, recording: Recording) -> None:
        if not recording.called:
            self._hush()
        understood = self._understand(recording)
        command = understood.command.id if understood.command else None
        self._say(f"heard {understood.transcript!r}, understood {command}")
        directive = self._ask_cloud(recording, understood)
        heard = Utterance(understood.transcript, wav(recording))
        visits = [
            self._contacts.submit(self._visit, contact, command or "unrecognised", heard)
            for contact in directive.contacts
        ]
        if self._room.waits:
            wait(visits, PATIENCE)
        left = self._room.speak(directive.speak) if directive.speak else 0.0
        self._asked = directive.listen
        if directive.listen:
            self._invitation.extend(left + LISTENS)
        self._go_on(directive, left)

    def _hush(self) -> None:
        unplayed = self._room.hush()
        if self._player:
            self._player.interrupt(unplayed)

    def _go_on(self, directive: Directive, left: float) -> None:
        """Begin, end or take up again what is played."""
        if self._player and (directive.stop or directive.stream):
            self._guarded(self._player.end)
            self._player = None
        if directive.stream:
            self._player = Player(directive.stream, left, self._cloud.stream)
            self._say(f"plays {directive.stream}")
        if self._player:
            self._room.play(partial(self._next_sound, self._player))

    def _next_sound(self, player: Player) -> Samples | None:
        try:
            return player.next()
        except Exception as error:  # noqa: BLE001 -- boundary: a stream may break, the device not
            self._say(f"the stream failed: {type(error).__name__}: {error}")
            return None

    def _understand(self, recording: Recording) -> Understood:
        """The command in a recording; what follows a question is its answer unless it is one."""
        if self._hearing is None:
            self._hearing = Hearing(self._commands)
        understood = self._hearing.understand(recording.sound)
        if understood.command is None and self._asked and understood.transcript:
            return Understood(understood.transcript, Command(self._asked, understood.transcript))
        return understood

    def _ask_cloud(self, recording: Recording, understood: Understood) -> Directive:
        try:
            directive = self._cloud.report(recording, understood)
        except Exception as error:  # noqa: BLE001 -- boundary: a device survives any answer
            self._say(f"the cloud failed: {type(error).__name__}: {error}")
            return Directive(NO_CLOUD, ())
        if directive.speak is None and understood.command is None:
            return Directive(SORRY, directive.contacts)
        return directive

    def _visit(self, contact: Contact, cause: str, heard: Utterance | None = None) -> None:
        error = self._network.visit(contact, cause, heard)
        self._say(f"contacted {contact.url} for {cause}" + (f": {error}" if error else ""))

    def _guarded(self, act: Callable[[], None]) -> None:
        try:
            act()
        except Exception as error:  # noqa: BLE001 -- boundary: a device never crashes
            self._say(f"failed: {type(error).__name__}: {error}")

    # --- background ---

    def _settle(self) -> None:
        provision = self._provisioned()
        self._say(f"knows {len(provision.commands)} commands")
        self._commands = provision.commands
        for habit in provision.habits:
            first = self._random.uniform(0, habit.every)
            threading.Thread(target=self._keep, args=(habit, first), daemon=True).start()
        # In the thread that uses them: a sentence spoken meanwhile waits for them.
        self._turns.submit(self._guarded, self._load)

    def _provisioned(self) -> Provision:
        pause = FIRST_RETRY
        while True:
            try:
                return self._cloud.provision()
            except Exception as error:  # noqa: BLE001 -- boundary: a device keeps trying
                self._say(f"no cloud yet: {type(error).__name__}: {error}")
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_RETRY)

    def _load(self) -> None:
        self._hearing = Hearing(self._commands)
        self._ready.set()
        self._say("ready")

    def _keep(self, habit: Habit, first: float) -> None:
        time.sleep(first)
        while True:
            began = time.monotonic()
            self._guarded(lambda: self._visit(habit.contact, "background"))
            time.sleep(max(0.0, habit.every - (time.monotonic() - began)))


def _log_of(account: str) -> Callable[[str], None]:
    def say(event: str) -> None:
        line = " ".join(event.split())
        print(f"{time.time():.3f} {account} {line}", file=sys.stderr, flush=True)

    return say


@click.command()
@click.option("--account", required=True, help="Whose Echo it is; names its ear and mouth.")
@click.option("--serial", required=True)
@click.option("--token-file", required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--cloud", "host", required=True, help="Host name of its cloud.")
@click.option("--ca", required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--extra-ca", multiple=True, type=click.Path(exists=True, path_type=Path))
@click.option("--log", required=True, type=click.Path(path_type=Path), help="Truth of contacts.")
@click.option("--socket", type=click.Path(path_type=Path), help="Sound passes here, in lock-step.")
@click.option("--server", type=click.Path(path_type=Path), help="Or the sound server of its room.")
@click.option("--room", default="{}", help="The lab's room, as JSON.")
def main(
    *,
    account: str,
    serial: str,
    token_file: Path,
    host: str,
    ca: Path,
    extra_ca: tuple[Path, ...],
    log: Path,
    socket: Path | None,
    server: Path | None,
    room: str,
) -> None:
    """Run one simulated Echo until it is ended."""
    token = token_file.read_text(encoding="utf-8").strip()
    network = Network([ca, *extra_ca], ContactLog(log, account))
    say = _log_of(account)
    sound = acoustics(RoomSettings.model_validate_json(room))
    if socket:
        place: Room = SocketRoom(socket, sound)
    elif server:
        place = ServerRoom(account, sound, say, server)
    else:
        raise click.UsageError("an Echo hears through --socket or --server")
    Echo(place, Cloud(host, serial, token, network), network, serial, say).run()


if __name__ == "__main__":
    main()
