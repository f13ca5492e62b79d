"""The simulated Echo: woken by its name, understanding by agreement, contacting as told."""

import json
import os
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
import soundfile
from loopback_cloud import LoopbackCloud

from echoaudit.instruments.microphone import Microphone
from echoaudit.instruments.speaker import Speaker
from echoaudit.instruments.voices import synthesise
from echoaudit.lab.air import Air, server_of, socket_of
from echoaudit.lab.authority import load_or_make
from echoaudit.lab.echo_contacts import Contact, ContactLog, Network
from echoaudit.lab.echo_ear import RATE, WakeWord, commands, cut_into_frames
from echoaudit.lab.echo_mouth import voice
from echoaudit.lab.hearing import (
    Command,
    Hearing,
    Sounds,
    agreed,
    jsgf,
    letters_to_sounds,
    normal,
    telling_words,
)
from echoaudit.lab.truth import read_contacts
from echoaudit.study.models import MicrophoneSettings, SpeakerSettings

PHRASES = {
    "enable:check": "enable style check",
    "open:check": "open style check",
    "say:check:0": "ask style check to dress me in Tokyo, Japan",
    "enable:dress": "enable what color dress should I wear",
    "open:facts": "start my fashion facts",
    "open:vasundhara": "open Vasundhara Fashions",
    "stop": "stop",
}
COMMANDS = [Command(id, phrase) for id, phrase in PHRASES.items()]


def spoken(*sentences: str, gain: float = 1.0) -> np.ndarray:
    """Sentences with a second of silence around each."""
    pause = np.zeros(RATE, np.int16)
    parts = [pause]
    for sentence in sentences:
        parts += [(synthesise(sentence, SpeakerSettings()) * gain).astype(np.int16), pause]
    return np.concatenate(parts)


def woken(sound: np.ndarray) -> list[np.ndarray]:
    recordings = commands(cut_into_frames(sound), WakeWord(), lambda: None)
    return [recording.sound for recording in recordings]


# --- waking ---


def test_it_wakes_at_its_name_only_and_records_the_whole_command():
    sentence = synthesise("Alexa, open style check", SpeakerSettings())
    heard = woken(spoken("Open style check", "Alexa, open style check", "What shall I wear?"))
    assert len(heard) == 1
    assert len(sentence) < len(heard[0]) < len(sentence) + 1.5 * RATE
    inside = np.lib.stride_tricks.sliding_window_view(heard[0], len(sentence) // 2)
    assert (inside == sentence[len(sentence) // 2 :][: inside.shape[1]]).all(axis=1).any()


def test_two_commands_are_two_and_a_name_alone_is_none():
    assert len(woken(spoken("Alexa, stop", "Alexa", "Alexa, open style check"))) >= 2
    assert woken(np.concatenate([spoken("Alexa"), np.zeros(3 * RATE, np.int16)])) == []


def test_it_wakes_after_long_silence_as_after_a_short_one():
    call = spoken("Alexa, open style check")
    soon, late = woken(call), woken(np.concatenate([np.zeros(20 * RATE, np.int16), call]))
    assert len(soon) == len(late) == 1
    assert len(soon[0]) == len(late[0])


def test_silence_never_wakes_it():
    assert woken(spoken("Alexa, open style check", gain=0.0)) == []


# --- understanding ---


def test_text_is_made_plain():
    assert normal("How\u2019s my Café, B.C.D.?") == "how's my cafe b c d"
    assert telling_words("open style check") == "style check"
    assert telling_words("stop") == "stop"
    assert jsgf(["a b", "c"]).endswith("public <command> = alexa ( a b | c );\n")
    assert [sounds[0] for sounds in letters_to_sounds(["vasundhara", "zyrtec"])] == ["V", "Z"]


def test_a_command_needs_both_recognisers():
    check, trade = tuple("STAYLCHEK"), tuple("BITREYD")
    phrases = {"check": Sounds(check, check), "trade": Sounds(trade, trade)}
    assert agreed(check, check, phrases) == "check"
    assert agreed(tuple("STAYLJEK"), check, phrases) == "check"
    assert agreed(tuple("MOWVIPIKR"), trade, phrases) is None
    assert agreed((), check, phrases) is None
    assert agreed(check, (), phrases) is None
    assert agreed(check, check, {}) is None


@pytest.fixture(scope="module")
def hearing() -> Hearing:
    return Hearing(COMMANDS)


@pytest.mark.parametrize("command", PHRASES)
def test_spoken_commands_are_understood(hearing, command):
    (heard,) = woken(spoken(f"Alexa, {PHRASES[command]}"))
    understood = hearing.understand(heard)
    assert understood.command is not None
    assert understood.command.id == command
    assert not understood.transcript.startswith("alexa")


@pytest.mark.parametrize(
    "sentence", ["what time is it", "open movie picker", "play some jazz music please"]
)
def test_other_sentences_are_no_command(hearing, sentence):
    (heard,) = woken(spoken(f"Alexa, {sentence}"))
    assert hearing.understand(heard).command is None


# --- contacts ---


@pytest.fixture
def cloud(tmp_path):
    rows = [{"id": id, "phrase": phrase} for id, phrase in PHRASES.items()]
    with LoopbackCloud(tmp_path / "ca", rows) as cloud:
        yield cloud


@pytest.mark.parametrize("tls", ["1.2", "1.3"])
@pytest.mark.parametrize("http", ["1.1", "2"])
def test_a_contact_uses_exactly_the_versions_ordered(cloud, tmp_path, tls, http):
    log = tmp_path / "truth" / "contacts-one.jsonl"
    network = Network([cloud.ca], ContactLog(log, "one"))
    order = {"url": f"https://{cloud.host}/a", "method": "POST", "send_bytes": 5000}
    contact = Contact.of({**order, "tls": tls, "http": http, "later": "unknown"})
    assert network.visit(contact, "open:check") is None
    assert cloud.contacted == [("/a", http)]
    (row,) = read_contacts(tmp_path)
    assert (row["host"], row["account"], row["cause"]) == ("localhost", "one", "open:check")
    assert (row["tls"], row["http"], row["error"], row["open"]) == (tls, http, None, False)
    assert row["started"] < row["ended"]
    assert 5000 < row["sent"] < 9000
    assert 1000 < row["received"] < 5000


@pytest.mark.parametrize(("http", "chosen"), [("1.1", "http/1.1"), ("2", "h2")])
def test_a_peer_that_prefers_the_older_version_cannot_choose_it(tmp_path, http, chosen):
    """A proxy follows the order of the client's offers; httpx puts HTTP/1.1 first."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority = load_or_make(tmp_path / "ca")
    context.load_cert_chain(authority.leaf("localhost"))
    context.set_alpn_protocols(["http/1.1", "h2"])
    network = Network([authority.pem], ContactLog(tmp_path / "contacts-one.jsonl", "one"))
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as pool:
        here = f"https://localhost:{server.getsockname()[1]}/"
        visit = pool.submit(network.visit, Contact(here, http=http), "background")
        with context.wrap_socket(server.accept()[0], server_side=True) as peer:
            assert peer.selected_alpn_protocol() == chosen
        assert visit.result() is not None, "the peer hung up"


DATA_SEGMENTS_IN = 152
"""Where Linux's ``struct tcp_info`` has ``tcpi_data_segs_in``."""


def hello_records(client):
    """A ClientHello, the number of segments it came in, and the sizes of its TLS records."""
    hello = b""
    client.settimeout(60)
    while not is_whole(hello):
        hello += client.recv(65536)
    client.settimeout(0.3)
    with suppress(TimeoutError):
        hello += client.recv(65536)  # what follows where nothing should
    # The kernel's count: a reader that is late finds several segments in one piece.
    told = client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 192)
    (segments,) = struct.unpack_from("I", told, DATA_SEGMENTS_IN)
    data, records = hello, []
    while data:
        records.append(int.from_bytes(data[3:5], "big"))
        data = data[5 + records[-1] :]
    return hello, segments, records


def is_whole(hello):
    """Whether the TLS records hold all of the handshake message that they begin."""
    message = b""
    while hello and len(hello) >= 5 + int.from_bytes(hello[3:5], "big"):
        length = int.from_bytes(hello[3:5], "big")
        message, hello = message + hello[5 : 5 + length], hello[5 + length :]
    return (
        not hello and len(message) > 4 and len(message) == 4 + int.from_bytes(message[1:4], "big")
    )


@pytest.mark.parametrize(
    ("how", "segments", "records", "name"),
    [
        ({"hello": "whole"}, 1, 1, True),
        ({"hello": "segments"}, 3, 1, True),
        ({"hello": "records"}, 1, 2, True),
        ({"hello": "large"}, 1, 1, True),
        ({"sni": False}, 1, 1, False),
    ],
)
def test_a_hello_is_sent_as_ordered(tmp_path, how, segments, records, name):
    authority = load_or_make(tmp_path / "ca")
    network = Network([authority.pem], ContactLog(tmp_path / "contacts-one.jsonl", "one"))
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as pool:
        contact = Contact(f"https://localhost:{server.getsockname()[1]}/", **how)
        visit = pool.submit(network.visit, contact, "background")
        with server.accept()[0] as client:
            got, arrived, sizes = hello_records(client)
        assert visit.result() is not None, "the peer hung up"
    assert (arrived, len(sizes)) == (segments, records)
    assert (b"localhost" in got) is name
    assert (sum(sizes) > 1800) is (how == {"hello": "large"})


@pytest.mark.parametrize("tls", ["1.2", "1.3"])
@pytest.mark.parametrize("hello", ["segments", "records", "large"])
def test_an_unusual_hello_is_understood(cloud, tmp_path, tls, hello):
    network = Network([cloud.ca], ContactLog(tmp_path / "truth" / "contacts-one.jsonl", "one"))
    order = {"url": f"https://{cloud.host}/a", "method": "POST", "send_bytes": 70_000}
    contact = Contact.of({**order, "tls": tls, "http": "2", "hello": hello})
    assert network.visit(contact, "open:check") is None
    (row,) = read_contacts(tmp_path)
    assert (row["tls"], row["http"], row["address"]) == (tls, "2", "127.0.0.1")
    assert row["sent"] > 70_000


def test_a_host_is_looked_up_as_often_as_ordered(cloud, tmp_path):
    network = Network([cloud.ca], ContactLog(tmp_path / "truth" / "contacts-one.jsonl", "one"))
    for lookup in ("always", "once", "once", "always", "never"):
        order = {"url": f"https://{cloud.host}/a", "lookup": lookup, "address": "127.0.0.1"}
        if lookup != "never":
            order.pop("address")
        assert network.visit(Contact.of(order), "background") is None
    looked = [row["looked_up"] for row in read_contacts(tmp_path)]
    assert looked == [True, True, False, True, False]


def test_where_quic_does_not_get_through_tcp_does(cloud, tmp_path):
    network = Network([cloud.ca], ContactLog(tmp_path / "truth" / "contacts-one.jsonl", "one"))
    assert network.visit(Contact(f"https://{cloud.host}/a", http="3"), "background") is None
    assert cloud.contacted == [("/a", "2")]


def test_failed_contacts_are_logged_and_harmless(cloud, tmp_path):
    log = tmp_path / "truth" / "contacts-one.jsonl"
    stranger = LoopbackCloud(tmp_path / "other", [])
    with stranger:
        network = Network([stranger.ca], ContactLog(log, "one"))
        untrusted = network.visit(Contact(f"https://{cloud.host}/"), "background")
        unknown = network.visit(Contact("https://nowhere.invalid/"), "background")
        both = Network([stranger.ca, cloud.ca], ContactLog(log, "one"))
        assert both.visit(Contact(f"https://{cloud.host}/"), "background") is None
    assert "CERTIFICATE_VERIFY_FAILED" in str(untrusted)
    assert unknown
    rows = list(read_contacts(tmp_path))
    assert [row["host"] for row in rows] == ["localhost", "nowhere.invalid", "localhost"]
    assert [bool(row["error"]) for row in rows] == [True, True, False]


def test_the_log_of_a_killed_echo_keeps_what_it_began(tmp_path):
    path = tmp_path / "truth" / "contacts-one.jsonl"
    ContactLog(path, "one").begin("a.example", "background")
    with path.open("a") as torn:
        torn.write('{"account":"one","id":"9","ho')
    log = ContactLog(path, "one")
    log.end(log.begin("b.example", "background"))
    rows = list(read_contacts(tmp_path))
    assert [(row["host"], row["open"]) for row in rows] == [
        ("a.example", True),
        ("b.example", False),
    ]


# --- the whole device ---


def wait_for(path, words, process, seconds=60):
    deadline = time.monotonic() + seconds
    while words not in path.read_text():
        assert process.poll() is None, path.read_text()
        assert time.monotonic() < deadline, path.read_text()
        time.sleep(0.05)


@contextmanager
def real_air(folder, monkeypatch):
    with Air(["one"], folder / "air") as air:
        for name, value in air.environment().items():
            monkeypatch.setenv(name, value)
        yield (
            {"server": server_of("one", folder / "air")},
            "{account}-loudspeaker",
            "{account}-microphone",
        )


@contextmanager
def fast_air(folder, _):
    with tempfile.TemporaryDirectory() as short:
        path = socket_of("one", Path(short))
        yield {"socket": path}, f"unix:{path}", f"unix:{path}"


@pytest.mark.sound
@pytest.mark.parametrize("air", [real_air, fast_air])
def test_a_spoken_sentence_reaches_the_cloud_and_is_answered_aloud(
    cloud, tmp_path, monkeypatch, air
):
    cloud.speak = "Welcome to style check. What do you want to wear?"
    here = f"https://{cloud.host}"
    cloud.orders = [
        {"url": f"{here}/t", "method": "GET", "send_bytes": 0, "tls": "1.2", "http": "1.1"}
    ]
    cloud.background = [{**cloud.orders[0], "url": f"{here}/b", "every_s": 1.0}]
    errors, log, token = (
        tmp_path / "echo.err",
        tmp_path / "truth" / "contacts-one.jsonl",
        tmp_path / "token",
    )
    token.write_text("secret-token\n")
    options = {
        "account": "one",
        "serial": "S1",
        "token-file": token,
        "cloud": cloud.host,
        "ca": cloud.ca,
        "log": log,
    }
    with air(tmp_path, monkeypatch) as (more, loud, mic), errors.open("w") as stderr:
        options |= more
        command = [sys.executable, "-m", "echoaudit.lab.echo"]
        command += [f"--{name}={value}" for name, value in options.items()]
        echo = subprocess.Popen(command, stderr=stderr, env=dict(os.environ))
        try:
            wait_for(errors, "ready", echo)
            microphone = MicrophoneSettings(device=mic, silence=1.0)
            speaker = SpeakerSettings(device=loud)
            silent = speaker.model_copy(update={"gain": 0.0})
            with Microphone(microphone, "one").open() as ear:
                said = Speaker(silent, "one").say("Alexa, open style check", tmp_path)
                unanswered = ear.listen(tmp_path, said.ended)
            assert "awake" not in errors.read_text()
            with Microphone(microphone, "one").open() as ear:
                said = Speaker(speaker, "one").say("Alexa, open style check", tmp_path)
                answer = ear.listen(tmp_path, said.ended)
            alive = echo.poll() is None
        finally:
            echo.kill()
            echo.wait()
    assert alive
    assert (unanswered.speech_seconds, unanswered.text) == (0, "")
    assert "style check" in answer.text.lower()
    kept, _ = soundfile.read(tmp_path / answer.file, dtype="int16")
    assert np.array_equal(np.trim_zeros(kept), np.trim_zeros(voice(cloud.speak)))
    (event,) = cloud.events
    assert (event["command"], event["token"]) == ("open:check", "secret-token")
    assert "check" in str(event["transcript"])
    assert bytes(event["audio"]).startswith(b"RIFF")
    assert ("/t", "1.1") in cloud.contacted
    causes = [row["cause"] for row in read_contacts(tmp_path)]
    assert causes[0] == "provision"
    assert causes.count("open:check") == 2
    assert "background" in causes
    assert "secret" not in errors.read_text() + log.read_text()
    assert all(json.loads(line) for line in log.read_text().splitlines())
