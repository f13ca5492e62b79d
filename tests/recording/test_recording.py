"""Writing a recording and reading it back."""

import json
import os
import shutil
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from recordings import (
    FAILS_ONCE,
    STEPS,
    STUDY_FILES,
    BrowserBroke,
    begin,
    leave_evidence,
    run,
    tree,
)

from echoaudit.errors import BadInput, Damaged, Unavailable
from echoaudit.recording import Recording, read_json, verify


def attempt(recording):
    return recording.step("fashion-1/sign-in", "sign-in")


@pytest.fixture
def whole(tmp_path):
    run(tmp_path / "r")
    return tmp_path / "r"


def test_what_was_planned_is_on_disk_before_anything_is_done(tmp_path):
    with begin(tmp_path / "deep" / "r") as recording:
        folder = recording.folder
        first = next(recording.events())
        assert (first.seq, first.event, first.data["hash"]) == (0, "study", "5" * 64)
        on_disk = {p for p in tree(folder) if p != "journal.jsonl"}
        assert first.data["files"].keys() == on_disk
        assert {
            f"study/{path}": (folder / "study" / path).read_bytes() for path in STUDY_FILES
        } == {f"study/{path}": content for path, content in STUDY_FILES.items()}
        assert recording.info["config"] == {"config": "lab", "seed": 1}
        assert recording.info["tools"] == {"dumpcap": "4.0"}
        assert recording.study == {"study": "fashion"}
        assert recording.study_hash == "5" * 64
        assert not list(folder.parent.glob(".*"))


def test_finished_steps_are_read_in_the_plans_order_whatever_came_first(tmp_path):
    with begin(tmp_path / "r") as recording:
        for step, kind in reversed(STEPS.items()):
            with recording.step(step, kind, kind="as the plan says", site="news") as folder:
                leave_evidence(folder, step)
        assert recording.finished == set(STEPS)
    recording = Recording.open(tmp_path / "r")
    assert recording.planned == tuple(s.id for s in recording.steps())
    (session,) = recording.steps("session")
    assert (session.id, session.account, session.persona) == (
        "fashion-1/sessions/01-shoes",
        "fashion-1",
        "fashion",
    )
    assert session.data == {"kind": "as the plan says", "site": "news"}
    assert session.json("visit.json")["step"] == session.id
    assert set(session.files) == {"ads/1.txt", "names.jsonl", "visit.json"}
    with pytest.raises(BadInput, match=r"has no page\.har"):
        session.path("page.har")


def test_everything_is_private_to_its_owner(whole):
    (whole / "findings").mkdir(mode=0o700)
    for root, folders, files in os.walk(whole.parent / "r"):
        modes = {stat.S_IMODE(Path(root, name).stat().st_mode) for name in files}
        assert modes <= {0o600}
        assert {stat.S_IMODE(Path(root, name).stat().st_mode) for name in folders} <= {0o700}
    assert stat.S_IMODE(whole.stat().st_mode) == 0o700


def test_a_step_that_fails_is_kept_aside_with_its_reason_and_done_again(whole):
    recording = Recording.open(whole)
    (event,) = [e for e in recording.events() if e.event == "step-interrupted"]
    assert event.data["step"] == FAILS_ONCE
    assert event.data["kept"] == f"interrupted/{FAILS_ONCE}/1"
    assert event.data["reason"].startswith("BrowserBroke in recordings:")
    assert (whole / event.data["kept"] / "page.har").read_text() == "half a page"
    assert FAILS_ONCE in recording.finished


def test_the_reason_holds_no_values_of_unforeseen_errors(tmp_path):
    with pytest.raises(KeyError), begin(tmp_path / "r") as recording, attempt(recording):
        raise KeyError("hunter2")
    assert b"hunter2" not in b"".join(tree(tmp_path / "r").values())


def test_a_foreseen_errors_line_is_the_reason(tmp_path):
    with pytest.raises(Unavailable), begin(tmp_path / "r") as recording, attempt(recording):
        raise Unavailable("no loudspeaker called kitchen")
    events = list(Recording.open(tmp_path / "r").events())
    assert events[-1].data["reason"] == "no loudspeaker called kitchen"


def test_links_and_pipes_are_no_evidence(tmp_path):
    with begin(tmp_path / "r") as recording:
        refused = pytest.raises(Damaged, match="lock: not a regular file")
        with refused, attempt(recording) as folder:
            (folder / "lock").symlink_to("/etc/passwd")
            (folder / "visit.json").write_text("{}")
        assert recording.finished == frozenset()
    assert set(tree(tmp_path / "r" / "interrupted")) == {"fashion-1/sign-in/1/visit.json"}


def test_one_run_at_a_time(tmp_path):
    with begin(tmp_path / "r") as recording:
        assert recording.locked
        reader = Recording.open(tmp_path / "r")
        assert reader.locked
        with pytest.raises(Unavailable, match="another run is recording into") as caught:
            Recording.resume(tmp_path / "r")
        assert len(str(caught.value).splitlines()) == 1
    assert not reader.locked
    Recording.resume(tmp_path / "r").close()


def test_parallel_steps(tmp_path):
    steps = [f"fashion-{i}/visits/b{j}-x" for i in range(8) for j in range(5)]
    with begin(tmp_path / "r") as recording:

        def act(step):
            with recording.step(step, "visit") as folder:
                leave_evidence(folder, step)

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(act, steps))
        assert recording.finished == set(steps)
        recording.seal()
    assert verify(tmp_path / "r", "full") == []


def test_a_running_or_finished_step_cannot_be_begun(tmp_path):
    with begin(tmp_path / "r") as recording:
        refused = pytest.raises(BadInput, match="finished or running already")
        with attempt(recording), refused:
            attempt(recording).__enter__()
        with refused:
            attempt(recording).__enter__()


@pytest.mark.parametrize(
    "step",
    ["", "..", "../x", "/etc/x", "a/../b", "a//b", "a/", "a\0b", "a\nb", "a b", "\u00e4", "study/x",
     "Interrupted/x", "journal.jsonl", ".git/x", "x" * 101, "a/b/c/d/e/f/g", "-rf"],
)  # fmt: skip
def test_unusable_step_ids(tmp_path, step):
    with begin(tmp_path / "r") as recording:
        before = tree(tmp_path)
        with pytest.raises(BadInput) as caught:
            recording.step(step, "visit").__enter__()
        assert len(str(caught.value).splitlines()) == 1
        assert tree(tmp_path) == before


@pytest.mark.parametrize(("first", "second"), [("a-1/x", "a-1/x/y"), ("a-1/x/y", "a-1/x")])
def test_steps_inside_each_other(tmp_path, first, second):
    with begin(tmp_path / "r") as recording:
        with recording.step(first, "visit"):
            pass
        with pytest.raises(BadInput, match="inside each other"):
            recording.step(second, "visit").__enter__()


@pytest.mark.parametrize("path", ["../x", "/x", "a/../../x", "", "a\0b", "a\\b"])
def test_unusable_study_paths(tmp_path, path):
    with pytest.raises(BadInput, match="does not stay inside"):
        Recording.create(
            tmp_path / "r", study_files={path: b""}, study_hash="", config={}, tools={},
            plan={"waves": []},
        )  # fmt: skip
    assert not list(tmp_path.iterdir())


def test_a_recording_is_never_written_over(whole, tmp_path):
    before = tree(whole)
    with pytest.raises(BadInput, match="is there already"):
        begin(whole)
    assert tree(whole) == before
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="is there already"):
        begin(tmp_path / "file")


def test_an_own_event(tmp_path):
    with begin(tmp_path / "r") as recording:
        recording.record("wave", name="before-1")
        with pytest.raises(BadInput, match="written by the recording itself"):
            recording.record("step-finished", step="x")
    event = list(Recording.open(tmp_path / "r").events())[-1]
    assert (event.event, event.data) == ("wave", {"name": "before-1"})


def test_a_sealed_recording_is_final(whole):
    before = tree(whole)
    with Recording.resume(whole) as recording:
        assert recording.sealed
        recording.seal()
        with pytest.raises(BadInput, match="is sealed"):
            recording.record("wave")
        with pytest.raises(BadInput, match="is sealed"):
            recording.step("fashion-2/sign-in", "sign-in").__enter__()
    assert tree(whole) == before


def test_reading_never_writes(whole):
    before = tree(whole)
    recording = Recording.open(whole)
    with pytest.raises(BadInput, match="for reading only"):
        recording.record("wave")
    list(recording.steps())
    assert tree(whole) == before


def test_the_manifest_lists_every_file_with_its_hash(whole):
    manifest = read_json(whole / "manifest.json")
    listed = {f["path"]: (f["sha256"], f["bytes"]) for f in manifest["files"]}
    done = subprocess.run(
        ["sha256sum", "--", *sorted(listed)], cwd=whole, capture_output=True, text=True, check=True
    )
    hashes = dict(reversed(line.split("  ", 1)) for line in done.stdout.splitlines())
    assert {path: sha for path, (sha, _) in listed.items()} == hashes
    assert set(listed) == set(tree(whole)) - {"journal.jsonl", "manifest.json"}


def test_sealing_finds_evidence_that_changed_since(tmp_path):
    with begin(tmp_path / "r") as recording:
        with recording.step("fashion-1/sign-in", "sign-in") as folder:
            leave_evidence(folder, "x")
        (tmp_path / "r/fashion-1/sign-in/visit.json").write_text('{"state":"better"}')
        with pytest.raises(Damaged, match="changed since it was recorded"):
            recording.seal()
    assert not Recording.open(tmp_path / "r").sealed


def test_the_head_stands_for_the_whole_recording(whole, tmp_path):
    run(tmp_path / "again")
    assert len({Recording.open(whole).head, Recording.open(tmp_path / "again").head}) == 2
    done = subprocess.run(
        f"tail -n 1 {whole}/journal.jsonl | sha256sum", shell=True, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert done.stdout.split()[0] == Recording.open(whole).head


READ = """
import json, sys
from pathlib import Path
from echoaudit.recording import Recording, verify
r = Recording.open(Path(sys.argv[1]))
print(json.dumps([[s.id, s.kind, list(s.files), dict(s.data)] for s in r.steps()]
    + [e.hash for e in r.events()] + [str(p) for p in verify(r.folder, "full")]))
"""


def test_reading_is_the_same_anywhere(whole, tmp_path):
    copy = tmp_path / "b" / "elsewhere"
    copy.mkdir(parents=True)
    for path, content in sorted(tree(whole).items(), reverse=True):
        (copy / path).parent.mkdir(parents=True, exist_ok=True)
        (copy / path).write_bytes(content)
    shutil.move(whole, tmp_path / "moved")
    answers = set()
    for folder, zone, seed in [(copy, "Asia/Kolkata", "1"), (tmp_path / "moved", "UTC", "2")]:
        environment = {**os.environ, "TZ": zone, "PYTHONHASHSEED": seed, "LC_ALL": "C"}
        done = subprocess.run(
            [sys.executable, "-c", READ, str(folder)],
            env=environment, capture_output=True, text=True, check=True,
        )  # fmt: skip
        answers.add(done.stdout)
    assert len(answers) == 1
    assert json.loads(answers.pop())[0][0] == "fashion-1/sign-in"


def test_a_torn_last_line_is_kept_aside_and_cut(tmp_path):
    begin(tmp_path / "r").close()
    journal = tmp_path / "r/journal.jsonl"
    whole = journal.read_bytes()
    journal.write_bytes(whole + b'{"data":{"step')
    assert len(list(Recording.open(tmp_path / "r").events())) == 1
    assert [str(p) for p in verify(tmp_path / "r", "fast")] == [
        "journal.jsonl: ends in 14 bytes that are no whole line"
    ]
    with Recording.resume(tmp_path / "r") as recording:
        torn = list(recording.events())[-1].data["torn"]
    assert (tmp_path / "r" / torn["kept"]).read_bytes() == b'{"data":{"step'
    assert journal.read_bytes().startswith(whole)
    assert verify(tmp_path / "r") == []


def test_the_browsers_error_goes_on_unchanged(tmp_path):
    with pytest.raises(BrowserBroke), begin(tmp_path / "r") as recording, attempt(recording):
        raise BrowserBroke
