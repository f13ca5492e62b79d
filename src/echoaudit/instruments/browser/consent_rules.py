"""The kept rule set for consent banners: autoconsent (MPL-2.0), fetched from npm by set-up.

DuckDuckGo's browsers use it. It is a library that looks for banners and works them, and rules, each
for one consent manager or one site: how it is recognised, and what accepts or rejects. Both come
out of the package as they are, and are never part of this repository.
"""

from __future__ import annotations

import io
import json
import sys
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from echoaudit import npm
from echoaudit.errors import Unavailable

VERSION = "16.23.0"
NAME = f"autoconsent {VERSION}"
SETUP = "python -m echoaudit.instruments.browser.consent_rules"
PACKAGE = npm.Package(
    "@duckduckgo/autoconsent",
    VERSION,
    "sha512-NTmDhASFf5pUsSwg2TyT9R75GYUcuYZXPyBnRcYgJgozg6RLeXXP9uH8ADxA364y"
    "Q2gJBMu83AN/D24Y4nkPKg==",
    SETUP,
)
Answer = Literal["accept", "reject"]
LIBRARY = "package/dist/autoconsent.playwright.js"
LICENCE = "package/LICENSE"
RULES = ("package/rules/autoconsent/", "package/rules/generated/")
STEPS: Mapping[Answer, str] = {"accept": "optIn", "reject": "optOut"}
UNUSED = ("_metadata", "comment", "prehideSelectors")
"""What a rule says to its authors only, and what would hide a banner before it is answered."""

Rule = Mapping[str, Any]


@dataclass(frozen=True)
class RuleSet:
    """The library and its rules."""

    library: str
    rules: tuple[Rule, ...]


def path() -> Path:
    """Where they are kept: ``.cache/autoconsent/`` of the project."""
    return npm.kept_at("autoconsent") / f"autoconsent-{VERSION}.json"


def load() -> RuleSet:
    """The kept rule set.

    Raises:
        Unavailable: set-up has not fetched it.
    """
    try:
        found = json.loads(path().read_text(encoding="utf-8"))
    except FileNotFoundError:
        what = f"the rules for consent banners ({NAME}) are not in {path().parent}"
        raise Unavailable(what, fix=f"{SETUP}, or set browser.consent to ignore") from None
    return RuleSet(found["library"], tuple(found["rules"]))


def ensure() -> Path:
    """Fetch the rule set unless it is there; returns its path.

    Raises:
        Unavailable: npm or the network is missing, or the archive is not the expected one.
    """
    kept = path()
    if not kept.is_file():
        found = unpack(npm.fetch(PACKAGE))
        kept.parent.mkdir(parents=True, exist_ok=True)
        fresh = kept.with_suffix(".new")
        fresh.write_text(json.dumps(found), encoding="utf-8")
        fresh.replace(kept)
    return kept


def unpack(archive: bytes) -> dict[str, Any]:
    """Library, licence and rules of the package's archive."""
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
        texts = dict(_texts(tar))
    rules = [json.loads(text) for name, text in sorted(texts.items()) if name.startswith(RULES)]
    return {"licence": texts[LICENCE], "library": texts[LIBRARY], "rules": rules}


def _texts(tar: tarfile.TarFile) -> Iterator[tuple[str, str]]:
    for member in tar:
        wanted = member.name in (LIBRARY, LICENCE) or (
            member.name.startswith(RULES) and member.name.endswith(".json")
        )
        file = tar.extractfile(member) if wanted else None
        if file is not None:
            yield member.name, file.read().decode("utf-8")


def usable(rules: Sequence[Rule], answer: Answer, *, framed: bool = False) -> list[Rule]:
    """The rules that know how to give an answer; ``framed``: only those for frames.

    A rule without steps for it would report success and do nothing. One that only hides a banner
    gives no answer either.
    """
    return [
        {key: value for key, value in rule.items() if key not in UNUSED}
        for rule in rules
        if rule.get(STEPS[answer])
        and not rule.get("cosmetic")
        and (not framed or rule.get("runContext", {}).get("frame"))
    ]


def main() -> int:
    """Set-up step: make sure the rule set is there."""
    return npm.set_up(ensure)


if __name__ == "__main__":
    sys.exit(main())
