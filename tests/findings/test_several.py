"""Several recordings are concluded alike here and on a cluster, and their claims pooled."""

import shutil
from pathlib import Path

import dask
import pytest
from distributed import LocalCluster

from echoaudit.cli import group
from echoaudit.errors import BadInput, Unavailable
from echoaudit.findings.several import judge_all
from echoaudit.inference.meta import pool

GOLDEN = Path(__file__).parents[1] / "golden" / "recording"


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    home = tmp_path_factory.mktemp("several")
    spring, autumn = (Path(shutil.copytree(GOLDEN, home / n)) for n in ("spring", "autumn"))
    # Another recording: the same evidence before it was sealed.
    journal = autumn / "journal.jsonl"
    journal.chmod(0o600)
    journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:-1]))
    return [spring, autumn]


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
    assert list(there) == ["spring", "autumn"]
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
    with pytest.raises(BadInput, match=str(tmp_path)):
        judge_all([recordings[0], tmp_path])
    with pytest.raises(BadInput, match="goes with one recording"):
        group.main(["report", *map(str, recordings), "--method", "imc2023"], standalone_mode=False)
    with pytest.raises(BadInput, match="allowed: html, json"):
        group.main(["report", *map(str, recordings), "--format", "csv"], standalone_mode=False)


def test_a_cluster_that_does_not_answer_is_one_line(recordings, monkeypatch):
    monkeypatch.setattr("echoaudit.findings.several.CONNECT", 0.5)
    with pytest.raises(Unavailable, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9"):
        judge_all(recordings, "tcp://127.0.0.1:9")
