"""Recordings with sessions whose truth the tests know."""

from __future__ import annotations

import json
from pathlib import Path

from captures_kit import ECHO, ECHO_MAC, START, pcapng

from echoaudit.recording import Recording

SKILL = "B07SHOES"
STUDY = {
    "study": "shoes",
    "personas": [
        {
            "persona": "fashion",
            "catalogue": {
                "skills": [{"id": SKILL, "name": "Shoe Talk", "vendor": "Acme Shoes, Inc."}]
            },
        }
    ],
}


class Staged:
    """One step to be recorded."""

    def __init__(
        self, step, kind="session", start=START, packets=None, names=(), skill=SKILL, **files
    ):
        self.step, self.kind, self.skill = step, kind, skill
        account = step.split("/")[0]
        self.files: dict[str, bytes] = {
            "session.json": json.dumps(
                {
                    "account": account,
                    "persona": account.rpartition("-")[0],
                    "skill": skill,
                    "started": start,
                    "ended": start + 60,
                    "device": {"mac": ECHO_MAC, "ip": ECHO, "policy": "pinned"},
                }
            ).encode(),
            "names.jsonl": b"".join(json.dumps(event).encode() + b"\n" for event in names),
        }
        if packets is not None:
            self.files["traffic.pcapng"] = pcapng(packets)
        for name, content in files.items():
            self.files[name.replace("_json", ".json")] = json.dumps(content).encode()


def record(folder: Path, *steps: Staged, study=STUDY) -> Recording:
    plan = {
        "waves": [{"tracks": [{"steps": [{"id": step.step, "kind": step.kind} for step in steps]}]}]
    }
    with Recording.create(
        folder,
        study_files={"study.yaml": b"study: shoes\n"},
        study_hash="5" * 64,
        study=study,
        config={"config": "lab"},
        plan=plan,
        tools={},
    ) as recording:
        for step in steps:
            with recording.step(step.step, step.kind, skill=step.skill) as target:
                for name, content in step.files.items():
                    (target / name).write_bytes(content)
    return Recording.open(folder)


def event(time, kind, name, answer=None, number=1, type_="A"):
    return {"time": time, "client": ECHO, "id": number, "event": kind, "name": name,
            "type": type_, "answer": answer}  # fmt: skip
