"""What pages keep in the browser outside cookies: local and session storage of every origin."""

from __future__ import annotations

from typing import Any

from echoaudit.domains import registrable
from echoaudit.instruments.browser.inspector import Inspector

ORIGINS_LIMIT = 50


def read(inspector: Inspector, page: str) -> list[dict[str, Any]]:
    """Storage that is not empty, once for each origin and kind.

    Args:
        inspector: asks the documents.
        page: host of the visited page, whose site the storage is partitioned by.

    Frames that have gone or do not answer are left out.
    """
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for _, told in inspector.evaluate_everywhere("echoaudit.storage()"):
        for store in told["kept"]:
            entry = {"origin": told["origin"], "page": registrable(page) or page, **store}
            if len(found) < ORIGINS_LIMIT:
                found.setdefault((entry["origin"], entry["kind"]), entry)
    return list(found.values())
