"""Verify finds every change, and a hostile recording gives problems, never a traceback."""

import json
import os
import random
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from recordings import bare, begin, forge, leave_evidence, run, sha, tree

from echoaudit.errors import BadInput, EchoauditError
from echoaudit.recording import Recording, verify
from echoaudit.recording.journal import read_journal


@pytest.fixture
def whole(tmp_path):
    run(tmp_path / "r")
    return tmp_path / "r"


@pytest.fixture
def small(tmp_path):
    with begin(tmp_path / "r") as recording:
        with recording.step("fashion-1/sign-in", "sign-in") as folder:
            leave_evidence(folder, "fashion-1/sign-in")
        recording.seal()
    return tmp_path / "r"


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def what(folder: Path, level="complete") -> list[str]:
    problems = verify(folder, level)
    for problem in problems:
        assert str(problem).isprintable()
    try:
        recording = Recording.open(folder)
        list(recording.steps())
    except EchoauditError as error:
        assert str(error).isprintable()
    return [str(problem) for problem in problems]


@pytest.mark.parametrize("level", ["fast", "complete", "full"])
def test_a_whole_recording_has_no_problem(whole, level):
    assert what(whole, level) == []


def test_every_flipped_bit_of_the_journal_is_found(tmp_path):
    first = bare(tmp_path / "r")
    forge(tmp_path / "r", first, started(), finished(files=["visit.json"]), ("wave", {"n": 1.5}))
    journal = (tmp_path / "r" / "journal.jsonl").read_bytes()
    copy = tmp_path / "journal.jsonl"
    missed = []
    for bit in range(len(journal) * 8):
        copy.write_bytes(flipped(journal, bit))
        text = read_journal(copy)
        if not text.faults and not text.torn:
            missed.append(bit)
    assert len(journal) > 1000
    assert missed == []


def test_a_flipped_bit_in_any_byte_of_the_journal_is_found_at_the_fast_level(small):
    journal = (small / "journal.jsonl").read_bytes()
    for byte in range(0, len(journal), 7):
        (small / "journal.jsonl").write_bytes(flipped(journal, byte * 8 + byte % 8))
        assert verify(small, "fast"), f"byte {byte}"


def test_every_flipped_bit_of_the_other_files_is_found(small):
    files = tree(small)
    files.pop("journal.jsonl")
    order = random.Random(1)
    for path, content in files.items():
        bits = range(len(content) * 8)
        for bit in order.sample(bits, min(80, len(bits))):
            (small / path).write_bytes(flipped(content, bit))
            assert verify(small), f"{path} bit {bit}"
        (small / path).write_bytes(content)
    assert verify(small) == []


@pytest.mark.parametrize("level", ["fast", "complete"])
def test_a_file_that_is_cut_or_gone(small, level):
    place = small / "fashion-1/sign-in/visit.json"
    content = place.read_bytes()
    place.write_bytes(content[:-1])
    assert what(small, level) == [
        f"fashion-1/sign-in/visit.json: {len(content) - 1} bytes long, {len(content)} were recorded"
    ]
    place.unlink()
    assert what(small, level) == ["fashion-1/sign-in/visit.json: there is no such file"]


@pytest.mark.parametrize("name", ["extra.json", "fashion-1/sign-in/late.json", "interrupted/x"])
def test_a_file_too_many(small, name):
    (small / name).parent.mkdir(exist_ok=True)
    (small / name).write_text("{}")
    assert what(small) == [f"{name}: was not recorded: a file too many"]


def test_findings_are_no_evidence(small):
    (small / "findings").mkdir()
    (small / "findings" / "bids.parquet").write_bytes(b"x")
    assert what(small) == []


def test_a_dropped_or_swapped_record(whole):
    lines = (whole / "journal.jsonl").read_bytes().splitlines(keepends=True)
    for changed in (lines[:3] + lines[4:], [lines[0], lines[2], lines[1], *lines[3:]], lines[1:]):
        (whole / "journal.jsonl").write_bytes(b"".join(changed))
        assert what(whole, "fast")


def test_a_sealed_journal_without_its_end(whole):
    lines = (whole / "journal.jsonl").read_bytes().splitlines(keepends=True)
    (whole / "journal.jsonl").write_bytes(b"".join(lines[:-1]))
    assert not Recording.open(whole).sealed


def test_full_parses_the_evidence(tmp_path):
    with begin(tmp_path / "r") as recording:
        with recording.step("fashion-1/sign-in", "sign-in") as folder:
            (folder / "bids.json").write_text('[{"cpm": 1.5')
            (folder / "names.jsonl").write_text('{"name": "a"}\n{"name"')
            (folder / "page.har").write_text('{"log": {"entries": [{}]}}')
            (folder / "traffic.pcapng").write_bytes(b"\xd4\xc3\xb2\xa1" * 6)
        recording.seal()
    assert what(tmp_path / "r") == []
    problems = what(tmp_path / "r", "full")
    assert [p.split(":")[0].rpartition("/")[2] for p in problems] == [
        "bids.json", "names.jsonl", "page.har", "traffic.pcapng",
    ]  # fmt: skip


# --- hostile ----------------------------------------------------------------------------------


def test_not_a_recording(tmp_path):
    assert "not a recording" in what(tmp_path)[0]
    assert "not a recording" in what(tmp_path / "missing")[0]
    (tmp_path / "file").write_text("")
    assert "not a recording" in what(tmp_path / "file")[0]
    assert "not a recording" in what(Path("a\0b"))[0]
    with pytest.raises(BadInput, match=r"not a recording: it has no recording\.json"):
        Recording.open(tmp_path)


def test_a_newer_format(small):
    (small / "recording.json").write_text('{"format": 2}')
    with pytest.raises(BadInput, match=r"recorded in format 2.* update echoaudit"):
        Recording.open(small)
    assert "update echoaudit" in what(small)[0]


@pytest.mark.parametrize("name", ["recording.json", "journal.jsonl", "plan.json", "manifest.json"])
@pytest.mark.parametrize(
    "content",
    [b"", b"\0" * 100, b"\xff\xfe\n", b"[" * 100_000, b"[]\n", b'{"format": true}', b"nul",
     b'{"format":' + b"1" * 5000 + b"}", b'{"format": NaN}', b"{}\r\n" * 1000, b'{"format": 1}'],
    ids=range(11),
)  # fmt: skip
def test_hostile_content_of_the_recordings_own_files(small, name, content):
    (small / name).write_bytes(content)
    assert what(small, "full")


@pytest.mark.parametrize(
    "name", ["recording.json", "journal.jsonl", "plan.json", "fashion-1/sign-in/visit.json"]
)
@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_other_things_in_place_of_files(small, tmp_path, name, kind):
    shutil.move(small / name, tmp_path / "outside")
    if kind == "link":
        (small / name).symlink_to(tmp_path / "outside")
    elif kind == "pipe":
        os.mkfifo(small / name)
    else:
        (small / name).mkdir()
    assert what(small, "full")


def test_a_link_in_place_of_a_folder(small, tmp_path):
    shutil.move(small / "fashion-1", tmp_path / "outside")
    (small / "fashion-1").symlink_to(tmp_path / "outside")
    assert any("is a symbolic link" in p for p in what(small))
    with pytest.raises(EchoauditError, match="symbolic link"):
        list(Recording.open(small).steps())


def test_names_that_are_no_text_or_move_the_cursor(small):
    for name in (b"\xff\xfe.json", b"\x1b[2J.json", "\u202egpj.exe".encode()):
        Path(os.fsdecode(os.fsencode(small) + b"/" + name)).write_text("{}")
    assert sum("was not recorded" in p for p in what(small)) == 3


def started(step="a-1/x", attempt=1, **more):
    return "step-started", {"step": step, "kind": "visit", "attempt": attempt, "data": {}, **more}


def finished(step="a-1/x", files=(), attempt=1):
    entries = {name: sha(b"{}") for name in files}
    return "step-finished", {**started(step, attempt)[1], "files": entries}


@pytest.mark.parametrize(
    "events",
    [
        [started("../../etc")],
        [started("/etc")],
        [started("a\0b")],
        [started("\x1b[2J")],
        [started("study")],
        [started(["a"])],
        [started(attempt=2)],
        [started(attempt=True)],
        [started(), started()],
        [started("a-1"), started("a-1/x")],
        [finished()],
        [started(), finished(), finished()],
        [started(), finished(files=["../../../etc/passwd"])],
        [started(), finished(files=["/etc/passwd"])],
        [started(), finished(files=["a\0b"])],
        [started(), finished(files=["\ud800"])],
        [started(), finished(files=["missing.json"])],
        [("step-finished", {})],
        [("step-interrupted", {"step": "a-1/x"})],
        [("study", {"hash": "", "files": {}})],
        [started(), ("sealed", {"manifest": sha(b""), "steps": 0})],
        [("sealed", {"manifest": sha(b""), "steps": 0}), ("wave", {})],
        [("sealed", {"manifest": {"sha256": "../x", "bytes": -1}, "steps": 0})],
    ],
    ids=range(23),
)
def test_journals_forged_with_right_checksums(tmp_path, events):
    first = bare(tmp_path / "r")
    forge(tmp_path / "r", first, *events)
    assert what(tmp_path / "r", "full")


def test_a_first_record_that_names_files_elsewhere(tmp_path):
    event, data = bare(tmp_path / "r")
    (tmp_path / "secret").write_text("x")
    for path in ("../secret", "/etc/passwd", "a\0b"):
        files = {**data["files"], path: sha(b"x")}
        forge(tmp_path / "r", (event, {**data, "files": files}))
        assert what(tmp_path / "r")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8) | st.sampled_from(["a-1/x", "..", "/", "recording.json"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["step", "kind", "attempt", "files", "data", "hash", "manifest", "kept"])
        | st.text(max_size=4),
        inner,
        max_size=5,
    ),
    max_leaves=12,
)  # fmt: skip
event_names = st.sampled_from(
    ["study", "step-started", "step-finished", "step-interrupted", "sealed", "resumed", "x"]
)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(event_names, json_values), max_size=4), st.booleans())
def test_any_forged_journal(tmp_path_factory, events, honest):
    folder = tmp_path_factory.getbasetemp() / "forged"
    shutil.rmtree(folder, ignore_errors=True)
    first = bare(folder)
    forge(folder, *([first] if honest else []), *events)
    what(folder, "full")


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_any_mutation(tmp_path_factory, data):
    folder = tmp_path_factory.getbasetemp() / "mutated"
    if not folder.exists():
        run(folder)
    files = tree(folder)
    name = data.draw(st.sampled_from(sorted(files)))
    content = files[name]
    start = data.draw(st.integers(0, len(content)))
    end = data.draw(st.integers(start, min(len(content), start + 40)))
    patch = data.draw(st.binary(max_size=40))
    changed = content[:start] + patch + content[end:]
    (folder / name).write_bytes(changed)
    try:
        assert bool(what(folder, "full")) == (changed != content)
    finally:
        (folder / name).write_bytes(content)


def test_json_is_canonical_so_that_equal_recordings_are_equal_bytes(small):
    for path in small.glob("*.json"):
        value = json.loads(path.read_bytes())
        plain = json.dumps(value, sort_keys=True, separators=(",", ":")) + "\n"
        assert path.read_text() == plain
