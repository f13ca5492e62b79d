"""Findings follow from the evidence, byte for byte, and a change in them is named."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from echoaudit import findings
from echoaudit.errors import BadInput
from echoaudit.findings.claims import read_later
from echoaudit.findings.store import write_text
from echoaudit.recording import Recording, write_json
from echoaudit.recording.jsonfile import canonical

PEOPLE = {"fashion": 2, "vanilla": 4}
ACCOUNTS = [(f"{p}-{i + 1}", p) for p, n in PEOPLE.items() for i in range(n)]
BIDDERS = ("appnexus", "ix", "openx", "pubmatic", "rubicon", "smart", "sovrn")
CLAIM = {
    "claim": "fashion-above-vanilla",
    "outcome": "bids",
    "measure": "value",
    "treated": "fashion",
    "control": "vanilla",
    "direction": "higher",
    "alpha": 0.05,
    "smallest_effect": 1.25,
}
STUDY = {
    "study": "fashion",
    "personas": [
        {
            "persona": "fashion",
            "interest": "Fashion & Style",
            "catalogue": {"skills": [{"id": "B01", "name": "Outfit Check"}]},
        },
        {"persona": "vanilla", "interest": None, "catalogue": None},
    ],
    "claims": [CLAIM],
}
START = 1_795_000_000.0


def planned():
    for account, persona in ACCOUNTS:
        for phase in ("before", "after"):
            yield {
                "id": f"{account}/visits/{phase[0]}1-news", "kind": "visit", "account": account,
                "persona": persona, "skill": None, "site": "news", "phase": phase, "round": 1,
            }  # fmt: skip
        if persona == "fashion":
            yield {
                "id": f"{account}/sessions/01-outfit-check", "kind": "session",
                "account": account, "persona": persona, "skill": "B01", "site": None,
                "phase": None, "round": None,
            }  # fmt: skip


def leave_evidence(folder, step, rng, clock):
    about = {"account": step["account"], "persona": step["persona"], "started": clock,
             "ended": clock + 2}  # fmt: skip
    if step["kind"] == "session":
        device = {"mac": "02:00:00:00:00:01", "ip": "192.168.77.10", "policy": "pinned"}
        write_json(folder / "session.json", {**about, "skill": "B01", "device": device})
        said = {"file": "said-01.flac", "started": clock, "seconds": 1.0, "gain": 1.0}
        heard = {"file": "heard-01.flac", "seconds": 2.0, "speech_seconds": 1.0,
                 "text": "welcome to outfit check", "engine": "moonshine"}  # fmt: skip
        turns = [
            {"purpose": "converse", "text": "Alexa, open Outfit Check", "attempt": attempt,
             "said": said, "heard": heard, "delivered": attempt == 2}
            for attempt in (1, 2)
        ]  # fmt: skip
        write_json(folder / "transcript.json", turns)
        return
    lift = 3.0 if step["persona"] == "fashion" and step["phase"] == "after" else 1.0
    bids = [
        {"time": clock, "instance": "pbjs", "frame": "top", "auction": "a", "slot": "banner",
         "bidder": bidder, "state": "bid", "forced": False, "currency": "USD", "size": "300x250",
         "cpm": round(lift * float(np.exp(rng.normal(-1, 0.05))), 4), "latency_ms": 50,
         "creative": "c", "advertiser_domains": [], "deal": None}
        for bidder in BIDDERS
    ]  # fmt: skip
    write_json(folder / "bids.json", bids)
    write_json(
        folder / "visit.json",
        {**about, "site": "news", "url": "https://news.example/", "phase": step["phase"],
         "round": 1, "state": "complete", "reason": None, "browser": {}},
    )  # fmt: skip


def record(folder, study=STUDY, skip=(), *, ended=True):
    steps = list(planned())
    tracks = [{"account": a, "steps": [s for s in steps if s["account"] == a]} for a, _ in ACCOUNTS]
    rng = np.random.default_rng(1)
    with Recording.create(
        folder,
        study_files={"fashion.yaml": b"persona: fashion\n"},
        study_hash="0" * 64,
        config={"config": "test"},
        plan={"waves": [{"name": "all", "kind": "visits", "tracks": tracks}]},
        tools={"dumpcap": "4.0"},
        study=study,
    ) as recording:
        for number, step in enumerate(steps):
            if step["id"] in skip:
                continue
            data = {k: v for k, v in step.items() if k not in ("id", "kind")}
            with recording.step(step["id"], step["kind"], **data) as place:
                leave_evidence(place, step, rng, START + 10 * number)
        if ended:
            recording.seal()
    return folder


@pytest.fixture(scope="module")
def once(tmp_path_factory):
    home = tmp_path_factory.mktemp("once")
    folder = record(home / "recordings" / "fashion-1")
    return home, findings.replay(Recording.open(folder), home / "reports" / "fashion.html")


@pytest.fixture
def replayed(once, tmp_path):
    home, found = once
    shutil.copytree(home, tmp_path, dirs_exist_ok=True)
    return tmp_path / "recordings" / "fashion-1", found


def contents(folder):
    return {p.name: p.read_bytes() for p in (folder / "findings").iterdir()}


def test_the_claim_is_concluded_from_the_evidence(replayed):
    _, found = replayed
    (conclusion,) = found.conclusions
    assert conclusion.state == "supported"
    assert conclusion.effect.low < 3 < conclusion.effect.high
    delivery = found.tables["delivery"].set_index("account")
    assert list(delivery.loc["fashion-1", ["utterances_planned", "utterances_delivered"]]) == [1, 1]


def test_findings_and_report_are_written(replayed, tmp_path):
    folder, found = replayed
    assert {f"{name}.parquet" for name in found.tables} | {
        "conclusions.json",
        "findings.json",
    } == set(contents(folder))
    page = (tmp_path / "reports" / "fashion.html").read_text()
    assert found.conclusions[0].sentence.split(" (")[0] in page
    assert found.provenance["recording"]["journal_head"] in page
    assert str(tmp_path) not in page and str(folder) not in page
    assert [p.name for p in folder.parent.iterdir()] == [folder.name]


def test_tables_read_back_as_they_were(replayed):
    folder, found = replayed
    for name, table in found.tables.items():
        stored = pq.read_table(folder / "findings" / f"{name}.parquet")
        assert findings.store.digest(stored) == found.provenance["tables"][name]["sha256"]
        assert len(stored) == len(table)


def test_the_same_bytes_everywhere(replayed, tmp_path):
    folder, _ = replayed
    before = contents(folder)
    report = (tmp_path / "reports" / "fashion.html").read_bytes()
    code = (
        "import sys; from pathlib import Path; from echoaudit import findings; "
        "from echoaudit.recording import Recording; "
        "findings.replay(Recording.open(Path(sys.argv[1])), Path(sys.argv[2]))"
    )
    for seed, zone, home in (("1", "Asia/Tokyo", "x"), ("77", "America/New_York", "y")):
        elsewhere = tmp_path / home / "moved"
        elsewhere.parent.mkdir()
        subprocess.run(["cp", "-r", folder, elsewhere], check=True)
        environment = {**os.environ, "PYTHONHASHSEED": seed, "TZ": zone, "LC_ALL": "C"}
        subprocess.run(
            [sys.executable, "-c", code, elsewhere, tmp_path / home / "again.html"],
            env=environment,
            check=True,
        )
        assert contents(elsewhere) == before
        assert (tmp_path / home / "again.html").read_bytes() == report


def test_check_is_silent_when_findings_follow(replayed):
    assert findings.check(Recording.open(replayed[0])) == []


def test_check_names_a_changed_number_in_a_table(replayed):
    folder, _ = replayed
    path = folder / "findings" / "bids.parquet"
    table = pq.read_table(path)
    prices = table.column("cpm_usd").to_pylist()
    recomputed, prices[3] = prices[3], 99.5
    place = table.column_names.index("cpm_usd")
    pq.write_table(table.set_column(place, "cpm_usd", pa.array(prices)), path)
    (difference,) = findings.check(Recording.open(folder))
    assert (difference.file, difference.place) == ("bids.parquet", "row 4 column cpm_usd")
    assert (difference.recorded, difference.recomputed) == ("99.5", str(recomputed))


def test_check_names_a_changed_number_in_the_conclusions(replayed):
    folder, found = replayed
    path = folder / "findings" / "conclusions.json"
    value = json.loads(path.read_text())
    value[0]["effect"]["ratio"] = 30.0
    path.write_text(json.dumps(value))
    (difference,) = findings.check(Recording.open(folder))
    assert difference.place == "[0].effect.ratio"
    assert (difference.recorded, difference.recomputed) == (
        "30.0",
        str(found.conclusions[0].effect.ratio),
    )


@pytest.mark.parametrize("damage", ["rows", "rubbish", "missing", "extra", "spelling", "nothing"])
def test_check_notices_any_other_change(replayed, damage):
    folder, _ = replayed
    path = folder / "findings" / "bids.parquet"
    if damage == "rows":
        pq.write_table(pq.read_table(path).slice(1), path)
    elif damage == "rubbish":
        path.write_bytes(b"PAR1 rubbish PAR1")
    elif damage == "missing":
        path.unlink()
    elif damage == "extra":
        (folder / "findings" / "more.parquet").write_bytes(b"")
    elif damage == "spelling":
        document = folder / "findings" / "conclusions.json"
        document.write_text(json.dumps(json.loads(document.read_text()), indent=1))
    else:
        subprocess.run(["rm", "-r", folder / "findings"], check=True)
    found = findings.check(Recording.open(folder))
    assert found
    assert all("recorded" in str(difference) for difference in found)


def test_unfinished_steps_are_said_aloud(tmp_path):
    skip = {"fashion-2/visits/a1-news"}
    found = findings.compute(Recording.open(record(tmp_path / "fashion-2", skip=skip)))
    steps = found.tables["steps"].set_index("step")
    assert steps.loc["fashion-2/visits/a1-news", "state"] == "missing"
    assert any("not finished" in warning for warning in found.warnings)
    assert found.conclusions[0].treated.unscored == ("fashion-2",)
    assert "not finished" not in str(found.conclusions[0].reason)
    still = Recording.open(record(tmp_path / "still", skip=skip, ended=False))
    interim = findings.compute(still).conclusions[0]
    assert (interim.state, interim.test) == ("insufficient", found.conclusions[0].test)
    assert interim.reason.startswith("not finished: 1 of ")


def test_a_recording_without_any_evidence_still_has_findings(tmp_path):
    everything = {step["id"] for step in planned()}
    recording = Recording.open(record(tmp_path / "empty", skip=everything))
    found = findings.replay(recording, tmp_path / "empty.html")
    assert found.conclusions[0].state == "insufficient"
    assert "not finished" in (tmp_path / "empty.html").read_text()
    assert findings.check(recording) == []


def test_unusable_claims_are_one_clear_line(tmp_path):
    study = {**STUDY, "claims": [{**CLAIM, "alpha": 7}]}
    with pytest.raises(BadInput, match=r"study\.json has unusable claims"):
        findings.compute(Recording.open(record(tmp_path / "bad", study=study)))


LATE = "claims:\n- {claim: late, treated: fashion, control: vanilla, measure: rate}\n"


def test_claims_stated_after_the_run_are_exploratory_and_kept(replayed, tmp_path):
    folder, _ = replayed
    file = tmp_path / "late.yaml"
    file.write_text(LATE)
    recording = Recording.open(folder)
    later = read_later(file, recording.study)
    found = findings.replay(recording, tmp_path / "again.html", later=later)
    first, second = found.conclusions
    assert (first.exploratory, first.registered) == (False, True)
    assert (second.claim, second.exploratory, second.registered) == ("late", True, False)
    assert "stated after the run" in (tmp_path / "again.html").read_text()
    assert found.provenance["claims"] == {"sha256": later.sha256, "stated_after_the_run": 1}
    assert findings.check(recording) == []
    assert findings.kept_claims(recording) == later


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (LATE.replace("late,", "fashion-above-vanilla,"), "which the study has already"),
        (LATE.replace("vanilla", "vanila"), "did you mean 'vanilla'"),
        (LATE.replace("rate", "count"), "measure count of bids"),
        ("claims: []", "claims"),
    ],
)
def test_unusable_later_claims_name_the_file_and_line(replayed, tmp_path, text, words):
    folder, _ = replayed
    file = tmp_path / "late.yaml"
    file.write_text(text)
    with pytest.raises(BadInput, match=words) as caught:
        read_later(file, Recording.open(folder).study)
    assert str(caught.value).startswith(f"{file}:")


def test_the_claims_are_registered_before_the_first_step(replayed):
    folder, found = replayed
    recording = Recording.open(folder)
    first = next(recording.events())
    registered = hashlib.sha256(canonical(recording.study["claims"])).hexdigest()
    assert (first.seq, first.event) == (0, "study")
    assert first.data["claims"] == recording.claims_hash == registered
    assert found.provenance["recording"]["claims_hash"] == registered


def test_the_old_findings_stay_until_the_new_ones_are_whole(replayed, monkeypatch):
    folder, found = replayed
    before = contents(folder)
    monkeypatch.setattr(findings.store, "canonical", lambda value: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        findings.write(folder, found)
    assert contents(folder) == before
    assert [p.name for p in Path(folder).parent.iterdir()] == [folder.name]


def test_a_report_into_a_pipe_leaves_the_pipe(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as reader:
        read = reader.submit(pipe.read_text)
        write_text(pipe, "a report")
        assert read.result(10) == "a report"
    assert pipe.is_fifo()
