"""A recorded lab run is read as it was read when it was recorded, in every room."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from echoaudit import findings
from echoaudit.cli import group
from echoaudit.recording import Recording, verify

HERE = Path(__file__).parent
RECORDING = HERE / "recording"


@pytest.fixture(scope="module")
def found() -> findings.Findings:
    return findings.compute(Recording.open(RECORDING))


def test_the_evidence_is_whole() -> None:
    assert verify(RECORDING, "full") == []


def test_the_findings_follow_from_the_evidence() -> None:
    assert [str(d) for d in findings.check(Recording.open(RECORDING))] == []


def test_every_planted_fact_is_found() -> None:
    done = CliRunner().invoke(
        group, ["lab", "score", str(RECORDING), "--truth", str(HERE), "--json"]
    )
    score = json.loads(done.stdout)
    assert [(s["outcome"], s["wrong"], s["missed"]) for s in score["scores"]] == [
        ("endpoints", [], []),
        ("roles", [], []),
        ("blocked", [], []),
        ("attribution", [], []),
        ("syncs", [], []),
        ("bids", [], []),
    ]
    found = {s["outcome"]: s for s in score["scores"]}
    # Its idle captures are too short for any verdict.
    assert found["attribution"]["uncertain"] > 0
    assert all(s["planted"] > 0 for o, s in found.items() if o not in ("blocked", "attribution"))


def test_a_skills_contacts_are_told_from_the_echos_own(found: findings.Findings) -> None:
    contacted = found.tables["endpoints"].query("contacted")
    idle = contacted.query("kind == 'idle'")
    added = set(contacted.query("kind == 'session'")["host"]) - set(idle["host"])
    assert "api.washii-skills.com" in added
    assert set(idle["organisation"]) == {"Amazon"}
    assert set(idle["party"]) == {"platform"}


def test_every_sentence_was_answered(found: findings.Findings) -> None:
    said = found.tables["utterances"]
    assert set(said["purpose"]) >= {"enable", "converse", "disable"}
    assert said.groupby(["session", "purpose"])["delivered"].any().all()


def test_identifiers_are_redacted_everywhere(found: findings.Findings) -> None:
    secrets = {
        cookie["value"]
        for step in Recording.open(RECORDING).steps("visit")
        for cookie in step.json("cookies.json")["after"]
        if len(cookie["value"]) >= 8
    }
    assert secrets
    shown = "".join(table.to_csv() for table in found.tables.values())
    report = HERE / "recording" / "findings" / "conclusions.json"
    assert not [value for value in secrets if value in shown + report.read_text()]


BACKWARDS = """
import contextlib, os
listed, scanned = os.listdir, os.scandir
os.listdir = lambda *a: sorted(listed(*a), reverse=True)
back = lambda *a: sorted(scanned(*a), key=lambda entry: entry.name, reverse=True)
os.scandir = lambda *a: contextlib.nullcontext(iter(back(*a)))
assert os.listdir(".") == ["golden", "a"]
"""
"""What a file system with another order of its folders would give."""


def test_bytes_are_the_same_under_another_hash_seed_time_zone_folder_and_order(
    tmp_path: Path,
) -> None:
    made = []
    for number, (seed, zone) in enumerate([("1", "Asia/Tokyo"), ("random", "America/Lima")]):
        folder = tmp_path / f"copy-{number}"
        shutil.copytree(RECORDING, folder / "golden")
        (folder / "a").touch()
        order = BACKWARDS if number else ""
        code = f"{order}\nfrom echoaudit.cli import main; main()"
        subprocess.run(
            [sys.executable, "-c", code, "replay", "golden", "-o", "report.html"],
            cwd=folder,
            env={**os.environ, "PYTHONHASHSEED": seed, "TZ": zone},
            check=True,
            capture_output=True,
        )
        files = sorted((folder / "golden" / "findings").iterdir())
        made.append([f.read_bytes() for f in (*files, folder / "report.html")])
    assert made[0] == made[1]


def test_a_flipped_byte_of_evidence_is_named(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(RECORDING, copy)
    file = next(copy.rglob("traffic.pcapng"))
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.chmod(0o600)
    file.write_bytes(data)
    (problem,) = verify(copy)
    assert "traffic.pcapng" in str(problem)
