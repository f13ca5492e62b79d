"""From a spoken word to a report: whole runs of the real command on the embedded lab."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from lab_kit import FAST, Lab, Run

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]
HERE = Path(__file__).parent
FEW = {"accounts__treated": "1", "accounts__control": "3"}
KILLS = (
    *((0, 0.5), (0, 1), (0, 2), (0, 3), (0, 4), (0, 6)),
    *((1, 0.2), (5, 1), (10, 0.7), (13, 0.5)),
)
"""When a run is killed, as steps finished and seconds: starting, signing in, visiting, talking."""


@pytest.fixture(scope="module")
def paper(lab: Lab) -> Run:
    """The paper world, with traps for whoever reads its traffic; idle long enough to tell by."""
    return lab.run("paper", lab__world="traps", conversation__idle="20")


def test_what_is_said_raises_the_bids(paper: Run) -> None:
    conclusion = paper.conclusion
    assert conclusion["state"] == "supported"
    assert conclusion["effect"]["ratio"] > 1.4
    assert "SUPPORTED: Bids for fashion were" in paper.done.stdout
    assert f"report:    reports/{paper.report.name}" in paper.done.stdout


def test_findings_recover_the_planted_truth(paper: Run) -> None:
    score = paper.ask("lab score")
    for outcome in score["scores"]:
        assert outcome["wrong"] == outcome["missed"] == [], outcome["outcome"]
        assert outcome["planted"] > 0
    assert {s["outcome"] for s in score["scores"]} == {
        "endpoints",
        "roles",
        "blocked",
        "attribution",
        "data types",
        "syncs",
        "bids",
    }
    assert 1.8 < score["effects"][0]["planted"] < 2.2


def test_the_evidence_verifies_and_the_findings_follow_from_it(paper: Run) -> None:
    assert paper.status("verify", "--level", "full") == 0
    assert paper.status("replay --check") == 0
    assert paper.ask("status")["state"] == "sealed"


def test_a_replay_gives_the_same_bytes(paper: Run) -> None:
    before = {p.name: p.read_bytes() for p in (paper.folder / "findings").iterdir()}
    report = paper.report.read_bytes()
    assert paper.status("replay") == 0
    assert {p.name: p.read_bytes() for p in (paper.folder / "findings").iterdir()} == before
    assert paper.report.read_bytes() == report
    assert b"<script" not in report.lower()


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


def test_the_traps_were_really_set(paper: Run) -> None:
    table = pq.read_table(paper.folder / "findings" / "endpoints.parquet").to_pandas()
    seen = set(table[["account", "host", "witness", "state"]].itertuples(index=False, name=None))
    assert {
        ("fashion-2", "pdst.fm", "quic", "unanswered"),
        ("fashion-2", "pdst.fm", "sni", "contacted"),
        ("fashion-2", "clock.embertone.com", "earlier-dns", "contacted"),
        ("fashion-2", "", "none", "contacted"),
        ("fashion-2", "setup.lanternwick.com", "dns", "contacted"),
        ("fashion-2", "play.copperkite.org", "dns", "contacted"),
        ("fashion-2", "chtbl.com", "dns", "blocked"),
        ("fashion-1", "log.embertone.net", "proxy", "contacted"),
    } <= seen
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


def test_without_targeting_nothing_is_claimed(lab: Lab) -> None:
    run = lab.run("null", lab__world="null")
    assert run.conclusion["state"] != "supported"
    assert all(not s["wrong"] and not s["missed"] for s in run.ask("lab score")["scores"])


def test_without_sound_there_is_no_effect_and_the_run_says_why(lab: Lab) -> None:
    run = lab.run("silent", speaker__gain="0", conversation__attempts="1", **FEW)
    assert run.conclusion["state"] == "insufficient"
    assert "never woke" in run.done.stdout
    assert "never woke" in run.report.read_text()
    assert not any(turn["delivered"] for turn in transcript(run, "fashion-1"))


def test_a_world_never_seen_before_is_recovered(lab: Lab) -> None:
    for name in ("other_world.yaml", "other_skills.yaml"):
        shutil.copy(HERE.parent / "lab" / name, lab.folder / name)
    for name, text in {
        "gardener": "persona: gardener\ninterest: Gardening\nskills: other_skills.yaml\n"
        "control: nobody\n",
        "nobody": "persona: nobody\n",
    }.items():
        (lab.folder / f"{name}.yaml").write_text(text)
    open_ = {"gateway__quic": "forward", "gateway__trusting": "[gardener-1]"}
    run = lab.run("other", "gardener.yaml", lab__world="./other_world.yaml", **open_, **FEW)
    score = run.ask("lab score")
    assert all(not s["wrong"] and not s["missed"] for s in score["scores"])
    # Its few idle seconds tell nobody's chatter from a skill's contacts.
    assert {s["outcome"] for s in score["scores"] if not s["planted"]} == {"attribution"}
    assert run.conclusion["state"] == "supported"
    table = pq.read_table(run.folder / "findings" / "endpoints.parquet").to_pandas()
    quic = table.query("host == 'q.earthworm.io' and witness == 'quic'")
    assert quic["contacted"].any()
    assert set(quic["account"]) >= {"gardener-1"}


def test_killed_ten_times_nothing_is_lost_or_doubled(lab: Lab) -> None:
    few = {"accounts__treated": "1", "accounts__control": "1", **FAST}
    ended = [lab.kill("killed", steps, seconds, **few) for steps, seconds in KILLS]
    assert ended == [None] * len(KILLS), "a run ended by itself before it could be killed"
    run = lab.run("killed", **few)
    assert run.status("verify", "--level", "full") == 0
    journal = [json.loads(line) for line in (run.folder / "journal.jsonl").read_text().splitlines()]
    finished = [r["data"]["step"] for r in journal if r["event"] == "step-finished"]
    plan = json.loads((run.folder / "plan.json").read_text())
    planned = [s["id"] for w in plan["waves"] for t in w["tracks"] for s in t["steps"]]
    assert sorted(finished) == sorted(planned)
    assert all(not s["wrong"] and not s["missed"] for s in run.ask("lab score")["scores"])


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
