"""Evidence that comes after the seal: nothing that was sealed changes, whatever happens."""

import json
import os
import shutil

import pytest
from recordings import leave_evidence, run

from echoaudit.errors import BadInput, Damaged
from echoaudit.recording import Recording, durable, verify
from echoaudit.recording.journal import Journal

STEP = "fashion-1/data-requests/after-1"


@pytest.fixture
def whole(tmp_path):
    run(tmp_path / "r")
    return tmp_path / "r"


def add(folder):
    """The command that a user gives, and gives again after a crash."""
    there = Recording.open(folder)
    if there.sealed and STEP in there.finished:
        return
    with Recording.amend(folder, "data request of fashion-1") as recording:
        if STEP not in recording.finished:
            with recording.step(STEP, "data-request") as place:
                leave_evidence(place, STEP)
        if recording.was_sealed:
            recording.seal()


def test_the_old_seal_is_a_link_of_the_chain_and_the_new_one_covers_all(whole):
    before = Recording.open(whole)
    sealed = (whole / "journal.jsonl").read_bytes()
    add(whole)
    after = Recording.open(whole)
    assert (whole / "journal.jsonl").read_bytes().startswith(sealed)
    assert before.head in [event.hash for event in after.events()]
    assert [event.event for event in after.events()][-4:] == [
        "amended", "step-started", "step-finished", "sealed",
    ]  # fmt: skip
    assert (after.sealed, after.amendments) == (True, 1)
    assert verify(whole, "full") == []
    listed = json.loads((whole / "manifest.json").read_bytes())["files"]
    assert any(entry["path"].startswith(STEP) for entry in listed)
    (whole / STEP / "names.jsonl").write_text('{"name":"b.example"}\n')
    assert [problem.path for problem in verify(whole, "complete")] == [f"{STEP}/names.jsonl"]


def test_what_was_sealed_cannot_be_changed_by_adding(whole):
    (whole / "fashion-1/sign-in/visit.json").write_text('{"state":"better"}')
    with pytest.raises(Damaged, match="changed since it was recorded"):
        add(whole)
    assert not Recording.open(whole).sealed


def test_a_recording_that_runs_is_not_added_to(whole):
    journal = Journal(whole / "journal.jsonl")
    try:
        with pytest.raises(Exception, match="another run is recording"):
            add(whole)
    finally:
        journal.close()


def test_only_what_is_sealed_is_amended(tmp_path):
    run(tmp_path / "r")
    lines = (tmp_path / "r/journal.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "r/journal.jsonl").write_bytes(b"".join(lines[:-1]))
    add(tmp_path / "r")
    recording = Recording.open(tmp_path / "r")
    assert not recording.sealed and not recording.amendments and STEP in recording.finished
    with pytest.raises(BadInput, match="written by the recording itself"):
        Recording.resume(tmp_path / "r").record("amended", reason="x")


def test_a_crash_at_any_point_of_adding_loses_and_doubles_nothing(whole, tmp_path):
    operations = []
    copy = shutil.copytree(whole, tmp_path / "count")
    durable.watch(lambda name, path, data: operations.append(name))
    add(copy)
    durable.watch(None)
    points = [
        (number, part)
        for number, name in enumerate(operations, start=1)
        for part in ((0, 0.5) if name == "write" else (0,))
    ]
    assert len(points) > 25
    for number, part in points:
        folder = shutil.copytree(whole, tmp_path / f"r{number}-{part}")
        assert killed(folder, number, part) == 9
        add(folder)
        recording = Recording.open(folder)
        assert recording.sealed and recording.amendments == 1, (number, part)
        assert verify(folder, "full") == [], (number, part)
        assert sum(step.id == STEP for step in recording.steps()) == 1
        shutil.rmtree(folder)


def killed(folder, at, part):
    """Add in a forked process that dies at its n-th operation on disk."""
    seen = 0

    def watcher(name, path, data):
        nonlocal seen
        seen += 1
        if seen == at:
            if part:
                with path.open("ab") as file:
                    file.write(data[: max(1, int(len(data) * part))])
            os._exit(9)

    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            durable.watch(watcher)
            add(folder)
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
