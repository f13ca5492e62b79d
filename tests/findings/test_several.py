"""Several recordings are concluded alike here and on a cluster, and their claims pooled."""

import hashlib
import json
import shutil
from pathlib import Path

import dask
import pytest
from distributed import LocalCluster

from echoaudit.cli import group
from echoaudit.errors import BadInput, Unavailable
from echoaudit.findings.several import judge_all
from echoaudit.inference.meta import pool
from echoaudit.recording.journal import FIRST, format_line, read_journal

GOLDEN = Path(__file__).parents[1] / "golden" / "recording"


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    home = tmp_path_factory.mktemp("several")
    spring, autumn = (Path(shutil.copytree(GOLDEN, home / n)) for n in ("spring", "autumn"))
    made_on_another_day(spring, -1)
    return [autumn, spring]


def made_on_another_day(folder, days):
    """As if another run had found the same: other times of records and of a sign-in."""
    seconds = 86_400 * days
    path, before, lines = folder / "journal.jsonl", FIRST, []
    path.chmod(0o600)
    for record in read_journal(path).records:
        line = format_line(record.seq, record.time + seconds, record.event, record.data, before)
        lines.append(line)
        before = hashlib.sha256(line).hexdigest()
    path.write_bytes(b"".join(lines))
    visit = folder / "vanilla-3" / "sign-in" / "visit.json"
    visit.chmod(0o600)
    record = json.loads(visit.read_text())
    visit.write_text(json.dumps({**record, "started": record["started"] + seconds}))


@pytest.fixture(scope="module")
def here(recordings):
    return judge_all(recordings)


def test_a_cluster_of_two_workers_concludes_the_same(recordings, here):
    patient = {f"distributed.comm.timeouts.{what}": "120s" for what in ("connect", "tcp")}
    with (
        dask.config.set(patient),
        LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, host="127.0.0.1"
        ) as cluster,
    ):
        there = judge_all(recordings, cluster.scheduler_address)
    assert list(there) == ["spring", "autumn"], "in the order in which they began, not as given"
    assert there == here
    (pooled,) = pool({name: one.conclusions for name, one in there.items()})
    assert (pooled.pooled, pooled.outcome, pooled.measure) == (2, "bids", "value")
    assert pooled.ratio == pytest.approx(here["spring"].conclusions[0].effect.ratio, rel=1e-4)


def test_report_of_several_recordings_is_one_page(recordings, here, tmp_path, capsys):
    page = tmp_path / "pooled.html"
    group.main(["report", *map(str, recordings), "-o", str(page)], standalone_mode=False)
    said = capsys.readouterr().out
    (pooled,) = pool({name: one.conclusions for name, one in here.items()})
    assert pooled.sentence in said
    text = page.read_text()
    assert "spring" in text and "autumn" in text
    assert "<script" not in text and "<svg" in text
    assert "What was planned, and what happened, by study" in text
    contacts = here["spring"].digest.contacts
    assert contacts and all(one.organisation in text for one in contacts)
    assert {(one.accounts, one.whole) for one in contacts if one.persona == "fashion"} == {(1, 1)}


def test_what_cannot_be_pooled_is_one_line(recordings, tmp_path):
    with pytest.raises(BadInput, match="given twice"):
        judge_all([recordings[0], recordings[0]])
    copy = shutil.copytree(recordings[0], tmp_path / "copy")
    with pytest.raises(BadInput, match="is a copy of"):
        judge_all([recordings[0], Path(copy)])
    before_its_seal = Path(shutil.copytree(recordings[0], tmp_path / "unsealed"))
    journal = before_its_seal / "journal.jsonl"
    journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:-1]))
    with pytest.raises(BadInput, match="or began as one"):
        judge_all([before_its_seal, recordings[0]])
    with pytest.raises(BadInput, match=str(tmp_path)):
        judge_all([recordings[0], tmp_path])
    with pytest.raises(BadInput, match="goes with one recording"):
        group.main(["report", *map(str, recordings), "--method", "imc2023"], standalone_mode=False)
    with pytest.raises(BadInput, match="allowed: html, json"):
        group.main(["report", *map(str, recordings), "--format", "csv"], standalone_mode=False)


def test_a_source_imported_twice_is_no_second_study(tmp_path):
    request = {"method": "GET", "url": "https://news.example.com/", "headers": [], "cookies": []}
    answer = {"status": 200, "headers": [], "cookies": []}
    entry = {"startedDateTime": "2026-11-23T10:00:00.500Z", "time": 250, "request": request}
    har = {"log": {"version": "1.2", "entries": [{**entry, "response": answer}]}}
    file = tmp_path / "page.har"
    file.write_text(json.dumps(har))
    into = [tmp_path / name for name in ("one", "two")]
    for folder in into:
        group.main(["import", "har", str(file), "--into", str(folder)], standalone_mode=False)
    with pytest.raises(BadInput, match=r"two: was imported from the same file as .*one: page\.har"):
        judge_all(into)


def test_a_cluster_that_does_not_answer_is_one_line(recordings, monkeypatch):
    monkeypatch.setattr("echoaudit.findings.several.CONNECT", 0.5)
    with pytest.raises(Unavailable, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9"):
        judge_all(recordings, "tcp://127.0.0.1:9")
