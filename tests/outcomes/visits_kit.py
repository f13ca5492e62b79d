"""Recordings of page visits whose truth the tests know."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from echoaudit.recording import Recording

START = 1_790_000_000.0
YEAR = 365 * 86_400


def cookie(domain, name, value, lifetime=YEAR, now=START):
    """A cookie as the browser lists it; without a lifetime it ends with the browser."""
    expires = now + lifetime if lifetime else -1
    return {"domain": domain, "name": name, "value": value, "expires": expires,
            "session": not lifetime, "path": "/"}  # fmt: skip


@dataclass
class Page:
    """One visit: requests as (url, more) and the profile's cookies at its end."""

    account: str
    number: int = 1
    requests: list[dict[str, Any]] = field(default_factory=list)
    before: list[dict[str, Any]] = field(default_factory=list)
    after: list[dict[str, Any]] = field(default_factory=list)
    bids: Any = None
    ads: Any = None
    storage: list[Any] = field(default_factory=list)
    pictures: dict[str, bytes] = field(default_factory=dict)
    phase: str = "after"

    @property
    def started(self) -> float:
        return START + 1000 * self.number

    @property
    def id(self) -> str:
        return f"{self.account}/visits/a{self.number}-news"

    def ask(self, url, chain=None, body=None, headers=(), set_cookies=(), blocked=(), by=None,
            kind="", target="page"):  # fmt: skip
        """Add a request; requests of one ``chain`` follow each other by redirects."""
        time = datetime.fromtimestamp(self.started + len(self.requests) / 10, UTC)
        self.requests.append(
            {
                "startedDateTime": time.isoformat(),
                "request": {
                    "method": "GET",
                    "url": url,
                    "headers": [{"name": n, "value": v} for n, v in headers],
                    **({"postData": {"text": body}} if body else {}),
                },
                "response": {"status": 200, "cookies": list(set_cookies)},
                "_requestId": chain or f"r{len(self.requests)}",
                "_initiator": {"url": by} if by else {},
                "_resourceType": kind,
                "_target": target,
                "_document": "https://www.news.test/",
                "_blockedCookies": [{"direction": "response", "name": n} for n in blocked],
            }
        )

    def files(self) -> dict[str, Any]:
        persona = self.account.rpartition("-")[0]
        return {
            "visit.json": {
                "account": self.account, "persona": persona, "site": "news", "phase": self.phase,
                "round": self.number, "started": self.started,
                "ended": self.started + 2 + len(self.requests or ()) / 10,
                "state": "complete", "reason": None,
            },
            "page.har": {"log": {"version": "1.2", "entries": self.requests}},
            "cookies.json": {"before": self.before, "after": self.after},
            "bids.json": self.bids if self.bids is not None else [],
            **({"ads.json": self.ads} if self.ads is not None else {}),
            **({"storage.json": self.storage} if self.storage else {}),
        }  # fmt: skip


def record(
    folder: Path,
    *pages: Page,
    config: dict[str, Any] | None = None,
    study: dict[str, Any] | None = None,
) -> Recording:
    plan = {"waves": [{"tracks": [{"steps": [{"id": p.id, "kind": "visit"} for p in pages]}]}]}
    with Recording.create(
        folder,
        study_files={"study.yaml": b"study: web\n"},
        study_hash="5" * 64,
        study=study or {},
        config={"config": "lab", **(config or {})},
        plan=plan,
        tools={},
    ) as recording:
        for page in pages:
            with recording.step(page.id, "visit") as target:
                for name, content in page.files().items():
                    (target / name).write_text(json.dumps(content))
                for name, picture in page.pictures.items():
                    (target / name).parent.mkdir(exist_ok=True)
                    (target / name).write_bytes(picture)
    return Recording.open(folder)
