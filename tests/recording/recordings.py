"""A small run that the tests record, crash, resume and check."""

import hashlib
import os
from collections import Counter
from pathlib import Path

from echoaudit.recording import Recording, canonical, verify, write_json
from echoaudit.recording.journal import FIRST, format_line

STEPS = {
    "fashion-1/sign-in": "sign-in",
    "fashion-1/visits/b1-news": "visit",
    "vanilla-1/visits/b1-news": "visit",
    "fashion-1/sessions/01-shoes": "session",
}
FAILS_ONCE = "vanilla-1/visits/b1-news"
PLAN = {
    "waves": [
        {
            "name": account,
            "tracks": [{"steps": [{"id": i, "kind": k} for i, k in STEPS.items() if account in i]}],
        }
        for account in ("fashion-1", "vanilla-1")
    ]
}
STUDY_FILES = {
    "personas/fashion.yaml": b"persona: fashion\n",
    "skills/my fashion.yaml": "catalogue: f\u00e4shion\n".encode(),
}


class BrowserBroke(Exception):
    """What goes wrong in the first attempt at FAILS_ONCE."""


def begin(folder: Path) -> Recording:
    return Recording.create(
        folder,
        study_files=STUDY_FILES,
        study_hash="5" * 64,
        study={"study": "fashion"},
        config={"config": "lab", "seed": 1},
        plan=PLAN,
        tools={"dumpcap": "4.0"},
    )


def leave_evidence(folder: Path, step: str) -> None:
    """Files as instruments leave them: some through echoaudit, some by other programs."""
    write_json(folder / "visit.json", {"step": step, "state": "complete"})
    (folder / "names.jsonl").write_text('{"name":"a.example"}\n')
    (folder / "ads").mkdir()
    (folder / "ads" / "1.txt").write_text(hashlib.sha256(step.encode()).hexdigest())


def run(folder: Path) -> None:
    """The command that a user gives, and gives again after a crash."""
    with Recording.resume(folder) if folder.exists() else begin(folder) as recording:
        for step, kind in STEPS.items():
            if step not in recording.finished:
                record_step(recording, step, kind)
        recording.seal()


def record_step(recording: Recording, step: str, kind: str) -> None:
    if step == FAILS_ONCE and not any(
        e.event == "step-interrupted" and "BrowserBroke" in e.data["reason"]
        for e in recording.events()
    ):
        try:
            with recording.step(step, kind, site="news") as folder:
                (folder / "page.har").write_text("half a page")
                raise BrowserBroke
        except BrowserBroke:
            pass
    with recording.step(step, kind, site="news") as folder:
        leave_evidence(folder, step)


def assess(folder: Path) -> Counter[str]:
    """What is wrong with a recording after crashes: steps lost, doubled or different."""
    wrong: Counter[str] = Counter()
    wrong["problems"] = len(verify(folder, "full"))
    recording = Recording.open(folder)
    finished = [e.data["step"] for e in recording.events() if e.event == "step-finished"]
    wrong["lost"] = len(STEPS.keys() - set(finished))
    wrong["doubled"] = len(finished) - len(set(finished))
    wrong["unsealed"] = int(not recording.sealed)
    for step in recording.steps():
        same = step.json("visit.json") == {"step": step.id, "state": "complete"}
        same &= list(step.jsonl("names.jsonl")) == [{"name": "a.example"}]
        same &= step.path("ads/1.txt").read_text() == hashlib.sha256(step.id.encode()).hexdigest()
        wrong["different"] += int(not same or len(step.files) != 3)
    return +wrong


def forge(folder: Path, *events: tuple[str, object]) -> None:
    """Write a journal whose CRCs and chain are right, whatever it says."""
    lines, prev = [], FIRST
    for seq, (event, data) in enumerate(events):
        lines.append(format_line(seq, 1.5, event, data, prev))  # type: ignore[arg-type]
        prev = hashlib.sha256(lines[-1]).hexdigest()
    (folder / "journal.jsonl").write_bytes(b"".join(lines))


def sha(data: bytes) -> dict[str, object]:
    return {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}


def bare(folder: Path) -> tuple[str, object]:
    """The files of a recording without steps; returns its first journal event."""
    folder.mkdir()
    info = {"format": 1, "study_hash": "5" * 64}
    files = {"recording.json": info, "plan.json": {"waves": []}, "study.json": None}
    for name, value in files.items():
        (folder / name).write_bytes(canonical(value))
    return "study", {"hash": "5" * 64, "files": {n: sha(canonical(v)) for n, v in files.items()}}


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(Path(root, name).relative_to(folder)): Path(root, name).read_bytes()
        for root, _, names in os.walk(folder)
        for name in names
    }
