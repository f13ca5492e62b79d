"""DNS over HTTPS with live traffic: counted, let through or dropped, and what is named then."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import standins

from echoaudit.lab.machine import available
from echoaudit.outcomes import captures, endpoints
from echoaudit.recording import Recording

PROBE = Path(__file__).with_name("machine_probe.py")
HIDDEN = next(h.address for h in standins.HOSTS if h.name == "hidden.voice.test")

pytestmark = pytest.mark.skipif(available() is not None, reason=str(available()))


@pytest.fixture(scope="module")
def hides(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    """What the speaker saw under both policies, and the folder with its sessions."""
    folder = tmp_path_factory.mktemp("hides")
    standins.make_authority(folder)
    done = subprocess.run(
        [sys.executable, str(PROBE), "hides", str(folder)],
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]), folder


def found(
    said: dict[str, Any], session: Path, folder: Path
) -> tuple[set[tuple[str, str, str]], str]:
    """Host, witness and state of each endpoint of a session, of nameless ones the address; and
    what is said of its capture."""
    step = "a-1/sessions/01-talk"
    about = {"account": "a-1", "persona": "a", "skill": None, "device": said["device"]}
    about |= {"started": said["started"], "ended": said["ended"]}
    with (
        Recording.create(
            folder / "recording",
            study_files={"study.yaml": b"study: s\n"},
            study_hash="5" * 64,
            study={"study": "s", "personas": []},
            config={"config": "lab"},
            plan={"waves": [{"tracks": [{"steps": [{"id": step, "kind": "session"}]}]}]},
            tools={},
        ) as recording,
        recording.step(step, "session", skill=None) as target,
    ):
        shutil.copytree(session, target, dirs_exist_ok=True)
        (target / "session.json").write_text(json.dumps(about))
    recorded = Recording.open(folder / "recording")
    table = endpoints.derive(recorded)
    rows = table[["host", "addresses", "witness", "state"]].itertuples(index=False, name=None)
    named = {(host or address, witness, state) for host, address, witness, state in rows}
    return named, captures.derive(recorded)["problem"][0]


def counts(session: Path) -> tuple[dict[str, Any], list[str]]:
    """What was counted, and the names that the gateway was asked for."""
    events = [json.loads(line) for line in (session / "names.jsonl").read_text().splitlines()]
    asked = [event["name"] for event in events if event["event"] == "query"]
    return json.loads((session / "capture.json").read_text())["doh"], asked


def test_look_ups_let_through_are_counted_and_only_a_hello_names_what_follows(
    hides: tuple[dict[str, Any], Path], tmp_path: Path
) -> None:
    said, session = hides[0]["forward"], hides[1] / "sessions" / "forward"
    assert said["said"] == [
        [0, "hello from api.voice.test"],
        [0, f"HTTP/2 {HIDDEN} HTTP/1.1 200 OK\n"],
    ]
    assert {name for _, name in said["asked"]} == {"api.voice.test", "hidden.voice.test"}
    assert {version for version, _ in said["asked"]} == {"2"}
    counted, asked = counts(session)
    assert counted["policy"] == "forward"
    assert counted["packets"] > 20
    assert counted["questions"] == asked.count("dns.google") > 0
    assert set(asked) == {"dns.google"}, "the gateway was asked for nothing else"
    named, problem = found(said, session, tmp_path)
    assert named == {
        ("dns.google", "sni", "contacted"),
        ("api.voice.test", "sni", "contacted"),
        (HIDDEN, "none", "contacted"),
    }
    # curl's questions for both kinds of addresses may share a connection.
    assert problem in {f"names hidden by DNS over HTTPS: {number}" for number in (2, 3)}


def test_look_ups_that_are_dropped_are_counted_and_nothing_follows(
    hides: tuple[dict[str, Any], Path], tmp_path: Path
) -> None:
    said, session = hides[0]["drop"], hides[1] / "sessions" / "drop"
    assert all(status != 0 for status, _ in said["said"])
    assert said["asked"] == []
    counted, asked = counts(session)
    assert counted["policy"] == "drop"
    assert 1 <= counted["packets"] < 20, "attempts, and no connection"
    assert counted["questions"] == asked.count("dns.google") > 0
    named, problem = found(said, session, tmp_path)
    assert named == {("dns.google", "dns", "blocked"), ("8.8.8.8", "none", "unanswered")}
    assert problem == ""
