"""What the lab plants in an Echo's requests is what the outcome finds in them, and is scored."""

import base64
import json
import re
from dataclasses import fields

import httpx
import pytest

from echoaudit.errors import BadInput
from echoaudit.lab.echo_contacts import Contact, ContactLog, Network
from echoaudit.lab.echo_sends import Load, Utterance, hardware_address, load
from echoaudit.lab.score_contacts import score_data_types
from echoaudit.lab.truth import read_contacts
from echoaudit.lab.world import load_world
from echoaudit.outcomes import data_types
from echoaudit.recording import Recording

SAID = "Alexa, ask style check to dress me in Tokyo, Japan."
HEARD = Utterance(
    "ask style check to dress me in tokyo japan", b"RIFF\0\0\0\0WAVEfmt " + bytes(999)
)
SKILL = "B01LPS96B4"
VALUES = {
    "skill id": SKILL,
    "customer id": "amzn1.account.A0123456789ABCDEF",
    "language": "en-US",
    "time zone": "America/Los_Angeles",
    "preferences": "FAHRENHEIT",
    "location": "98109",
    "contact data": "somebody@mail.example",
}
NAMES = {
    "language": "locale", "preferences": "temperatureUnit", "location": "postalCode",
    "device events": "eventName",
}  # fmt: skip
BY_VALUE = ("skill id", "device id", "transcript")
"""Kinds that the evidence knows, so that digests are found too."""


def row(kind, place="body", encoding="plain"):
    name = NAMES.get(kind, f"f-{kind.replace(' ', '-')}")
    value = VALUES.get(kind)
    return {"data": kind, "place": place, "field": name, "encoding": encoding, "value": value}


def sent(rows, heard=HEARD, **packing):
    packing = {"body": "json", "packed": False, "padding": 400, **packing}
    made = load(rows, heard=heard, **packing)
    return made, httpx.Request("POST", "https://tracker.example/x", **made.content)


def found(tmp_path, request):
    """Kinds of data that the outcome finds in a request, decrypted in a session."""
    plan = {"waves": [{"tracks": [{"steps": [{"id": "fashion-1/sessions/01-x"}]}]}]}
    line = {
        "kind": "http", "time": 1.0, "host": "tracker.example", "url": str(request.url),
        "headers": [list(pair) for pair in request.headers.items()],
        "body": base64.b64encode(request.read()).decode(),
    }  # fmt: skip
    device = {"mac": hardware_address(), "policy": "trusting"}
    files = {
        "session.json": {"skill": SKILL, "device": device},
        "transcript.json": [{"text": SAID}],
        "proxy.jsonl": line,
    }
    with Recording.create(
        tmp_path / "r", study_files={}, study_hash="5" * 64, config={}, plan=plan, tools={},
        study={"personas": [{"catalogue": {"skills": [{"id": SKILL}]}}]},
    ) as recording:  # fmt: skip
        with recording.step("fashion-1/sessions/01-x", "session") as folder:
            for name, content in files.items():
                (folder / name).write_text(json.dumps(content) + "\n")
        return set(data_types.derive(recording)["data_type"])


ALL = (*BY_VALUE, *(VALUES.keys() - set(BY_VALUE)), "device events")


@pytest.mark.parametrize("body", ["json", "form", "multipart", "protobuf"])
def test_every_body_gives_back_what_was_put_in(tmp_path, body):
    # protobuf has no names: what only a name tells is lost in it, for any reader.
    kinds = set(ALL) - (set(NAMES) - {"device events"} if body == "protobuf" else set())
    made, request = sent(
        [row(kind) for kind in sorted(kinds)], body=body, packed=body != "multipart"
    )
    assert set(made.kinds) == kinds
    assert found(tmp_path, request) == kinds


@pytest.mark.parametrize("encoding", ["base64", "base64url", "hex", "md5", "sha1", "sha256"])
@pytest.mark.parametrize("place", ["query", "header", "body"])
def test_encoded_values_are_found_wherever_they_stand(tmp_path, encoding, place):
    made, request = sent([row(kind, place, encoding) for kind in BY_VALUE])
    assert found(tmp_path, request) == set(made.kinds) == set(BY_VALUE)


@pytest.mark.parametrize("body", ["json", "multipart", "protobuf"])
def test_a_recording_of_the_voice_is_found(tmp_path, body):
    made, request = sent([row("voice recording")], body=body)
    assert found(tmp_path, request) == set(made.kinds) == {"voice recording"}


def test_what_was_not_heard_is_neither_sent_nor_claimed(tmp_path):
    made, request = sent([row("transcript"), row("voice recording"), row("location")], heard=None)
    assert found(tmp_path, request) == set(made.kinds) == {"location"}


def test_the_log_says_what_was_sent(tmp_path):
    log = ContactLog(tmp_path / "truth" / "contacts-one.jsonl", "one")
    network = Network([], log)
    order = {"url": "https://nowhere.invalid/", "method": "POST", "sends": [row("location")]}
    assert network.visit(Contact.of(order), "open:x") is not None
    with pytest.raises(httpx.ConnectError):
        network.request(Contact("https://nowhere.invalid/"), "x", Load(("transcript",)))
    assert [row["data"] for row in read_contacts(tmp_path)] == [["location"], ["transcript"]]


def test_all_that_the_paper_world_plants_can_be_ordered():
    names = {field.name for field in fields(Contact)}
    assert {"sends", "body", "gzip"} <= names
    planted = [(c, row) for c in load_world("paper").contacts() for row in c.sends]
    assert {row.data for _, row in planted} == {*ALL, "voice recording"}
    assert {row.place for _, row in planted} == {"body", "query", "header"}
    assert {c.body for c, _ in planted} == {"json", "form", "multipart", "protobuf"}


@pytest.mark.parametrize(
    ("contact", "problem"),
    [
        ("sends: [{data: location, field: a}]", "data in the body of a GET"),
        ("gzip: true", "nothing to compress"),
        (
            "method: POST, sends: [{data: voice recording, place: query, field: a}]",
            "a voice recording outside the body",
        ),
        (
            "sends: [{data: location, place: query, field: a},"
            " {data: language, place: query, field: a}]",
            "field 'a' a second time",
        ),
        ("sends: [{data: shoe size, field: a}]", "shoe size"),
    ],
)
def test_a_world_that_plants_nonsense_is_refused(tmp_path, contact, problem):
    paper = (load_world("paper").path).read_text()
    old = "- {host: dcape-na.amazon.com"
    text = re.sub(
        r"- host: dcape-na.*?(?=\n\n)",
        f"{old}, path: /status, every_s: 11, {contact}}}",
        paper,
        flags=re.DOTALL,
    )
    assert old in text
    (tmp_path / "world.yaml").write_text(text)
    with pytest.raises(BadInput, match=re.escape(problem)):
        load_world(tmp_path / "world.yaml")


def contact(ended, *data, host="a.example", account="fashion-1", **more):
    return {"account": account, "host": host, "ended": ended, "open": False, "error": None,
            "data": list(data), **more}  # fmt: skip


def test_a_request_counts_for_the_session_in_which_it_ended():
    windows = {"s": ("fashion-1", 100.0, 200.0)}
    contacts = [
        contact(150, "device id", "language"),
        contact(150, "location", account="vanilla-1"),
        contact(199.9, "skill id"),
        contact(150, "transcript", error="ReadTimeout"),
        contact(300, "contact data"),
        {"account": "fashion-1", "host": "old.example", "ended": 150},
    ]
    rows = [
        ("s", "a.example", kind) for kind in ("device id", "transcript", "skill id", "location")
    ]
    got = [dict(zip(("session", "host", "data_type"), row, strict=True)) for row in rows]
    score = score_data_types(got, contacts, windows)
    assert (score.outcome, score.found, score.planted, score.right) == ("data types", 2, 2, 1)
    assert score.wrong == ("s a.example location",)
    assert score.missed == ("s a.example language",)
