"""Captures of others become sessions that outcomes read as their own."""

from __future__ import annotations

import gzip
import hashlib
import os
import subprocess
import sys

import pandas as pd
import pytest
from captures_kit import ECHO, ECHO_MAC, START, pcap, pcapng, secure
from import_kit import brought, endpoints, refused, run, sources

from echoaudit import findings
from echoaudit.recording import Recording


def hello(host: str, at: float = 0.0):
    """A TLS connection to a host."""
    return secure(host, start=START + at).packets


@pytest.fixture
def files(tmp_path):
    later = tmp_path / "Watching TV!.pcap"
    later.write_bytes(pcap(hello("play.podtrac.com", at=100)))
    first = tmp_path / "menu.pcapng"
    first.write_bytes(pcapng(hello("api.roku.com")))
    packed = tmp_path / "standby.pcap.gz"
    packed.write_bytes(gzip.compress(pcap(hello("metrics.roku.com", at=200))))
    return later, first, packed


def test_each_file_is_a_session_in_the_order_of_time(tmp_path, files) -> None:
    recording = brought("pcap", *files, "--persona", "smart-tv", into=tmp_path / "tv")
    assert [step.id for step in recording.steps()] == [
        "smart-tv-1/sessions/01-menu",
        "smart-tv-1/sessions/02-watching-tv",
        "smart-tv-1/sessions/03-standby",
    ]
    found = endpoints(recording)
    assert found["contacted"].to_dict() == {
        "api.roku.com": True, "play.podtrac.com": True, "metrics.roku.com": True,
    }  # fmt: skip
    assert found.loc["play.podtrac.com", "party"] == "third"


def test_the_file_is_kept_byte_for_byte(tmp_path, files) -> None:
    recording = brought("pcap", *files, into=tmp_path / "tv")
    for step, name, given in zip(
        recording.steps(),
        ("traffic.pcapng", "traffic.capture", "traffic.capture"),
        (files[1], files[0], files[2]),
        strict=True,
    ):
        assert step.path(name).read_bytes() == given.read_bytes()
        source = step.json("source.json")
        assert source["sha256"] == hashlib.sha256(given.read_bytes()).hexdigest()
        assert (source["name"], source["problems"]) == (given.name, [])
        assert source["records"] > 4


def test_the_named_device_is_the_one_that_counts(tmp_path, files) -> None:
    other = brought("pcap", files[1], "--device", "02:00:00:00:00:77", into=tmp_path / "a")
    same = brought("pcap", files[1], "--device", ECHO_MAC.upper(), into=tmp_path / "b")
    address = brought("pcap", files[1], "--address", ECHO, into=tmp_path / "c")
    assert [len(endpoints(one)) for one in (other, same, address)] == [0, 1, 1]


def test_idle_traffic_is_told_apart(tmp_path, files) -> None:
    recording = brought("pcap", files[1], "--idle", into=tmp_path / "tv")
    assert set(endpoints(recording)["kind"]) == {"idle"}


def test_report_and_replay_work_and_claim_nothing(tmp_path, files) -> None:
    recording = brought("pcap", *files, into=tmp_path / "tv")
    found = findings.replay(recording, tmp_path / "report.html")
    assert found.conclusions == ()
    assert findings.check(Recording.open(tmp_path / "tv")) == []
    page = (tmp_path / "report.html").read_text()
    assert "play.podtrac.com" in page
    assert "evidence that others gathered" in page
    assert "played aloud" not in page


def test_a_capture_that_is_cut_counts_as_partial(tmp_path, files) -> None:
    cut = tmp_path / "cut.pcap"
    cut.write_bytes(files[0].read_bytes()[:-5])
    recording = brought("pcap", cut, into=tmp_path / "tv")
    captures = findings.compute(recording).tables["captures"]
    assert list(captures["status"]) == ["partial"]
    assert "bytes after the last whole record" in sources(recording)[0]["problems"][0]
    assert captures["problem"][0].count("bytes after the last whole record") == 1


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "no packet could be read: empty file: 1"),
        (b"<html>not found</html>", "not a pcap or pcapng file"),
        (b"\x1f\x8b\x08garbage", "x.pcap"),
        (pcap([])[:10], "no packet could be read"),
        (pcap([]), "no packet could be read"),
    ],
)
def test_what_is_no_capture_is_refused(tmp_path, content, says) -> None:
    (tmp_path / "x.pcap").write_bytes(content)
    assert says in refused("pcap", tmp_path / "x.pcap", into=tmp_path / "tv")


def test_one_bad_file_among_good_ones_leaves_nothing(tmp_path, files) -> None:
    (tmp_path / "bad.pcap").write_bytes(b"bad!")
    refused("pcap", *files, tmp_path / "bad.pcap", into=tmp_path / "tv")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--device", "tv"], "--device: found 'tv'; allowed: six lower-case"),
        (["--address", "tv"], "--address: found 'tv'; allowed: an IP address"),
        (["--persona", "../x"], "--persona: found '../x'"),
        (["--account", "other-1"], "--account: found 'other-1'"),
    ],
)
def test_unusable_options_are_named(tmp_path, files, options, says) -> None:
    assert refused("pcap", files[0], *options, into=tmp_path / "tv").startswith(says)


def test_standard_input_is_kept_and_read_as_a_file_is(tmp_path, files) -> None:
    given = files[2].read_bytes()
    command = [sys.executable, "-m", "echoaudit", "import", "pcap", "-", "--into", tmp_path / "tv"]
    subprocess.run(command, input=given, check=True, capture_output=True)
    (step,) = Recording.open(tmp_path / "tv").steps()
    assert step.id == "imported-1/sessions/01-stdin"
    assert step.json("source.json")["sha256"] == hashlib.sha256(given).hexdigest()
    same = brought("pcap", files[2], into=tmp_path / "same")
    columns = ["witness", "packets", "bytes_up", "bytes_down"]
    once = endpoints(Recording.open(tmp_path / "tv"))[columns]
    pd.testing.assert_frame_equal(once, endpoints(same)[columns])


def test_a_pipe_can_be_named(tmp_path, files) -> None:
    pipe = tmp_path / "live.pcap"
    os.mkfifo(pipe)
    with subprocess.Popen(["sh", "-c", 'cat "$0" > "$1"', files[0], pipe]) as writer:
        recording = brought("pcap", pipe, into=tmp_path / "tv")
    assert writer.returncode == 0
    assert list(endpoints(recording).index) == ["play.podtrac.com"]


def test_standard_input_can_be_read_once_and_must_be_a_capture(tmp_path) -> None:
    assert refused("pcap", "-", "-", into=tmp_path / "tv").startswith("-: standard input can be")
    assert "no packet could be read: empty file" in refused("pcap", "-", into=tmp_path / "tv")


def test_a_missing_file_and_a_folder_are_refused(tmp_path) -> None:
    assert "no such file" in refused("pcap", tmp_path / "gone.pcap", into=tmp_path / "tv")
    assert "not a regular file" in refused("pcap", tmp_path, into=tmp_path / "tv")


def test_a_recording_that_is_there_is_never_touched(tmp_path, files) -> None:
    brought("pcap", files[0], into=tmp_path / "tv")
    before = (tmp_path / "tv" / "journal.jsonl").read_bytes()
    done = run("pcap", files[1], "--into", tmp_path / "tv")
    assert "is there already" in str(done.exception)
    assert (tmp_path / "tv" / "journal.jsonl").read_bytes() == before
