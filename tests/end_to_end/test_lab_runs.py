"""From a spoken word to a report: whole runs of the real command on the embedded lab."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from lab_kit import FAST, Lab, Run

from echoaudit.errors import ExitCode

pytestmark = [pytest.mark.timeout(900)]
HERE = Path(__file__).parent
FEW = {"accounts__treated": "1", "accounts__control": "3"}
KILLS = ((0, 3), ("visit", 0.3), ("fashion-1", 0))
"""When a run is killed, as seconds after a number of steps, the first visit's beginning or an
account's first answer: starting, visiting, talking. A visit is killed before any other is finished,
for what a finished one has set is on disk only when its browser closes (docs/web.md)."""


@dataclass
class Interrupted:
    """How a run ended early, and the same command given again."""

    code: int
    said: str
    verified: int
    """What ``verify`` said of the recording in between."""
    sealed_before: dict[str, bytes]
    """Evidence of the steps that were finished."""
    run: Run


@pytest.fixture(scope="module")
def unplugged(lab: Lab) -> Interrupted:
    """Sound through PyAudio and a sound server, in the paper world with traps in its traffic.

    A loudspeaker is unplugged in the middle. Idle long enough to tell the Echo's own chatter by.
    """
    settings = {"lab__world": "traps", "conversation__idle": "20"}
    code, said = lab.unplug("paper", "fashion-1", **settings)
    folder = lab.folder / "recordings" / "paper"
    verified = lab.command("verify", str(folder)).returncode
    done = {
        str(file.relative_to(folder)): file.read_bytes()
        for account in folder.glob("*-[0-9]")
        for file in account.rglob("*")
        if file.is_file()
    }
    return Interrupted(code, said, verified, done, lab.run("paper", **settings))


@pytest.fixture(scope="module")
def paper(unplugged: Interrupted) -> Run:
    """The whole run."""
    return unplugged.run


# --- with real sound: alone, or it is lost ------------------------------------------------------


@pytest.mark.lab
def test_an_unplugged_loudspeaker_ends_the_run_in_one_line_and_it_resumes(
    unplugged: Interrupted,
) -> None:
    assert unplugged.code == ExitCode.UNAVAILABLE
    assert "Traceback" not in unplugged.said
    line = unplugged.said.strip().splitlines()[-1]
    # Unplugged while a sentence was played, or just before it.
    assert re.search(
        r"output device 'fashion-1-loudspeaker' (stopped|cannot be opened).*plug", line
    )
    assert unplugged.verified == ExitCode.OK
    assert any(name.startswith("fashion-2/sessions/01") for name in unplugged.sealed_before)
    for name, before in unplugged.sealed_before.items():
        assert (unplugged.run.folder / name).read_bytes() == before, name
    nothing_delivered_is_said_again(unplugged.run, "fashion-1")


@pytest.mark.lab
def test_what_is_said_raises_the_bids(paper: Run) -> None:
    conclusion = paper.conclusion
    assert conclusion["state"] == "supported"
    assert conclusion["effect"]["ratio"] > 1.4
    assert "SUPPORTED: Bids for fashion were" in paper.done.stdout
    assert f"report:    reports/{paper.report.name}" in paper.done.stdout


@pytest.mark.lab
def test_findings_recover_the_planted_truth(paper: Run) -> None:
    score = recovered(paper)
    assert all(outcome["planted"] > 0 for outcome in score["scores"])
    assert {s["outcome"] for s in score["scores"]} == {
        "endpoints",
        "roles",
        "blocked",
        "attribution",
        "data types",
        "syncs",
        "bids",
        "ads",
    }
    effect = score["effects"][0]
    assert 1.8 < effect["planted"] < 2.2
    assert effect["covered"], "the interval holds what was planted"


@pytest.mark.lab
def test_the_evidence_verifies_and_the_findings_follow_from_it(paper: Run) -> None:
    assert paper.status("verify", "--level", "full") == 0
    assert paper.status("replay --check") == 0
    assert paper.ask("status")["state"] == "sealed"


@pytest.mark.lab
def test_a_replay_gives_the_same_bytes(paper: Run) -> None:
    before = {p.name: p.read_bytes() for p in (paper.folder / "findings").iterdir()}
    report = paper.report.read_bytes()
    assert paper.status("replay") == 0
    assert {p.name: p.read_bytes() for p in (paper.folder / "findings").iterdir()} == before
    assert paper.report.read_bytes() == report
    assert b"<script" not in report.lower()


@pytest.mark.lab
def test_a_changed_number_is_found(paper: Run, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(paper.folder, copy)
    file = copy / "findings" / "bids.parquet"
    table = pq.read_table(file).to_pandas()
    table.loc[table["cpm"].first_valid_index(), "cpm"] += 0.01
    table.to_parquet(file)
    done = paper.lab.command("replay", "--check", str(copy))
    assert done.returncode == 1
    assert "cpm" in done.stdout


@pytest.mark.lab
def test_the_trusting_device_was_decrypted_and_the_others_passed_by(paper: Run) -> None:
    def hosts_read(account: str) -> set[str]:
        """Hosts of HTTP requests that anyone can read from the captures alone."""
        captures = (paper.folder / account / "sessions").glob("*/traffic.pcapng")
        rows = (tshark(file, "", "http2.headers.authority", "http.host") for file in captures)
        return {
            name for row in rows for values in row for cell in values for name in cell.split(",")
        }

    assert "avs-alexa-4-na.amazon.com" in hosts_read("fashion-1")
    assert hosts_read("fashion-2") <= {""}
    for name in ("proxy.mitm", "proxy.jsonl"):
        assert any((paper.folder / "fashion-1" / "sessions").glob(f"*/{name}"))
        assert not any((paper.folder / "fashion-2" / "sessions").glob(f"*/{name}"))


@pytest.mark.lab
def test_the_traps_were_really_set(paper: Run) -> None:
    table = pq.read_table(paper.folder / "findings" / "endpoints.parquet").to_pandas()
    seen = set(table[["account", "host", "witness", "state"]].itertuples(index=False, name=None))
    assert {
        ("fashion-2", "pdst.fm", "quic", "unanswered"),
        ("fashion-2", "pdst.fm", "sni", "contacted"),
        ("fashion-2", "clock.embertone.com", "earlier-dns", "contacted"),
        ("fashion-2", "", "none", "contacted"),
        ("fashion-1", "push.brackenmoor.com", "proxy", "contacted"),
        ("fashion-2", "setup.lanternwick.com", "dns", "contacted"),
        ("fashion-2", "play.copperkite.org", "dns", "contacted"),
        ("fashion-2", "chtbl.com", "dns", "blocked"),
        ("fashion-1", "log.embertone.net", "proxy", "contacted"),
    } <= seen
    # Nobody was asked in this run, so what nothing names has no name.
    assert not {"probe", "reverse-dns"} & set(table["witness"])
    nameless = table.query("account == 'fashion-2' and witness == 'none'")
    assert nameless["addresses"].nunique() >= 2, "log.embertone.net and push.brackenmoor.com"
    (session,) = (paper.folder / "fashion-2" / "sessions").glob("01-*")
    assert json.loads((session / "capture.json").read_text())["quic"]["packets"] > 0
    hellos = tshark(
        session / "traffic.pcapng",
        "tls.handshake.type==1 && tcp",
        "tls.handshake.extensions_server_name",
        "tcp.segment.count",
        "tls.record.length",
    )
    shapes = {name: (segments, sizes.count(",")) for name, segments, sizes in hellos}
    assert shapes["chrt.fm"] == ("3", 0)
    assert shapes["verifi.podscribe.com"] == ("", 1)
    assert max(int(sizes) for name, _, sizes in hellos if name == "pscrb.fm") > 1500


# --- in the fast air: beside whatever else runs -------------------------------------------------


def test_without_sound_there_is_no_effect_and_the_run_says_why(lab: Lab) -> None:
    world = lab.small_world("paper", "field-and-kettle")
    quiet = {"speaker__gain": "0", "conversation__attempts": "1", "rounds__before": "0"}
    run = lab.run("silent", lab__world=world, **quiet, **FEW, **FAST)
    assert run.conclusion["state"] == "insufficient"
    assert "never woke" in run.done.stdout
    assert "never woke" in run.report.read_text()
    assert not any(turn["delivered"] for turn in transcript(run, "fashion-1"))


def test_a_world_never_seen_before_is_recovered(lab: Lab) -> None:
    for name in ("other_world.yaml", "other_skills.yaml"):
        shutil.copy(HERE.parent / "lab" / name, lab.folder / name)
    world = lab.folder / "other_world.yaml"
    host = "    host: hedge.example.com\n"
    world.write_text(world.read_text().replace(host, f"{host}    consent: cookieconsent3\n"))
    for name, text in {
        "gardener": "persona: gardener\ninterest: Gardening\nskills: other_skills.yaml\n"
        "control: nobody\n",
        "nobody": "persona: nobody\n",
    }.items():
        (lab.folder / f"{name}.yaml").write_text(text)
    open_ = {
        "gateway__quic": "forward",
        "gateway__trusting": "[gardener-1]",
        "gateway__probe": "true",
        "browser__consent": "accept",
        "conversation__skills": "3",
    }
    some = {**FEW, "accounts__treated": "2"}
    run = lab.run(
        "other", "gardener.yaml", lab__world="./other_world.yaml", **open_, **some, **FAST
    )
    score = recovered(run)
    # Its few idle seconds tell nobody's chatter from a skill's contacts.
    assert {s["outcome"] for s in score["scores"] if not s["planted"]} <= {"attribution"}
    assert "auctions" in {s["outcome"] for s in score["scores"]}
    # Each account meets its banner once; what it withholds comes upon the answer.
    steps = pq.read_table(run.folder / "findings" / "steps.parquet").to_pandas()
    answered = steps[steps["consent"] == "done"]
    assert set(answered["cmp"]) == {"cookieconsent3"}
    accounts = set(steps.loc[steps["site"] == "hedge", "account"])
    assert sorted(answered["account"]) == sorted(accounts)
    consents = next(s for s in score["scores"] if s["outcome"] == "consents")
    assert consents["planted"] == 2 * len(accounts), "shown and accepted"
    assert run.conclusion["state"] == "supported"
    table = pq.read_table(run.folder / "findings" / "endpoints.parquet").to_pandas()
    quic = table.query("host == 'q.earthworm.io' and witness == 'quic'")
    assert quic["contacted"].any()
    assert set(quic["account"]) >= {"gardener-1"}
    nameless_servers_were_asked(run)
    skills_that_sound_alike_are_told_apart(run)


def skills_that_sound_alike_are_told_apart(run: Run) -> None:
    """Of two names that sound alike the Echo opens one: the other is known to be confounded."""
    table = pq.read_table(run.folder / "findings" / "utterances.parquet").to_pandas()
    talk = table[table["purpose"] == "converse"]
    alike = {"B0WINEPAIR", "B0WINEPEAR"}
    decrypted = talk[(talk["account"] == "gardener-1") & talk["skill"].isin(alike)]
    assert set(decrypted["skill"]) == alike
    (opened,) = set(decrypted["answerer"])
    assert (decrypted["confounded"] == (decrypted["skill"] != opened)).all()
    assert set(decrypted["confidence"]) == {"high"}
    # Whose traffic nobody reads is told by what the other account heard, or not at all.
    other = talk[(talk["account"] == "gardener-2") & talk["skill"].isin(alike)]
    assert not other.loc[other["skill"] == opened, "confounded"].any()
    assert not (other.loc[other["skill"] != opened, "answered_by"] == "skill").any()
    assert not talk.loc[talk["skill"] == "B0GARDEN01", "confounded"].any()
    sessions = table.loc[table["confounded"], "session"].nunique()
    assert f"in {sessions} session" in run.report.read_text().partition("Another skill answered")[2]


def nameless_servers_were_asked(run: Run) -> None:
    """What no look-up and no hello names is named by who was asked, and labelled so."""
    table = pq.read_table(run.folder / "findings" / "endpoints.parquet").to_pandas()
    hidden = table[table["host"].str.contains("badger|burrow") | (table["host"] == "")]
    named = hidden[hidden["account"] == "gardener-2"]
    assert set(named[["host", "witness"]].itertuples(index=False, name=None)) == {
        ("sett.badger-home.com", "probe"),
        ("badger-home.com", "probe"),
        ("host-9.burrow-edge.net", "reverse-dns"),
        ("", "none"),
    }
    read = hidden[hidden["witness"] == "proxy"]
    assert set(read["account"]) == {"gardener-1"}, "whose requests were read"
    assert set(read["host"]) >= {"sett.badger-home.com", "den.badger-home.com"}
    probes = run.folder.glob("gardener-2/sessions/*/probes.jsonl")
    lines = [json.loads(line) for file in probes for line in file.read_text().splitlines()]
    assert {(line["question"], line["sni"]) for line in lines} == {
        ("certificate", None),
        ("ptr", None),
    }
    page = run.report.read_text()
    assert "host-9.burrow-edge.net (reverse-dns)" in page, "beside what the request named"
    assert "Named by probe (its certificate) or reverse-dns (reverse DNS): what the server" in page


def test_killed_again_and_again_nothing_is_lost_doubled_or_claimed(lab: Lab) -> None:
    # Idle for longer than an Echo is ever silent: a part of a session is short enough for the rule
    # to call what it never saw in idle time a skill's.
    idle = {"conversation__idle": "12"}
    null = {"lab__world": lab.small_world("null", "field-and-kettle"), **idle, **FEW, **FAST}
    ended = [lab.kill("killed", steps, seconds, **null) for steps, seconds in KILLS]
    assert ended == [None] * len(KILLS), "a run ended by itself before it could be killed"
    killed = lab.run("killed", **null)
    assert killed.conclusion["state"] != "supported", "nobody targets anybody in this world"
    assert killed.status("verify", "--level", "full") == 0
    lines = (killed.folder / "journal.jsonl").read_text().splitlines()
    journal = [json.loads(line) for line in lines]
    finished = [r["data"]["step"] for r in journal if r["event"] == "step-finished"]
    plan = json.loads((killed.folder / "plan.json").read_text())
    planned = [s["id"] for w in plan["waves"] for t in w["tracks"] for s in t["steps"]]
    parts = [name for name in finished if name not in planned]
    assert sorted(finished) == sorted([*planned, *parts])
    nothing_delivered_is_said_again(killed, "fashion-1")
    recovered(killed)


def recovered(run: Run) -> Any:
    """The score of a run that found all that its world planted, and nothing else."""
    score = run.ask("lab score")
    keys = ("outcome", "wrong", "missed")
    assert not [{k: s[k] for k in keys} for s in score["scores"] if s["wrong"] or s["missed"]]
    return score


def nothing_delivered_is_said_again(run: Run, account: str) -> None:
    delivered = run.delivered()
    assert {text.split()[1] for who, _, text in delivered if who == account} >= {
        "enable",
        "disable",
    }
    assert set(delivered.values()) == {1}
    assert any((run.folder / account / "sessions").glob("01-*.*/transcript.json"))


def tshark(capture: Path, selected: str, *fields: str) -> list[tuple[str, ...]]:
    """Fields of the packets of a capture, as an independent reader sees them."""
    chosen = [word for field in fields for word in ("-e", field)]
    command = ["tshark", "-r", str(capture), "-Y", selected, "-T", "fields", *chosen]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [tuple(line.split("\t")) for line in done.stdout.splitlines()]


def transcript(run: Run, account: str) -> list[dict[str, object]]:
    """All sentences said to one account's Echo, each try."""
    files = sorted((run.folder / account / "sessions").glob("*/transcript.json"))
    return [turn for file in files for turn in json.loads(file.read_text())]
