"""What two recordings were made with, side by side: may their findings be compared at all?"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from echoaudit.recording import Recording

NOTHING = "nothing"
FORBIDS = (
    "config",
    "lab.world",
    "browser.third_party_cookies",
    "browser.language",
    "gateway.policy",
    "gateway.block",
    "speaker.engine",
    "speaker.voice",
    "conversation.enable",
)
"""Settings that change what there is to be seen: where they differ, a difference in findings says
nothing of time. The sites, the personas and the software are compared besides."""
IRRELEVANT = ("folders", "parallel", "lab.seed", "browser.binary", "browser.driver", "sites")
"""Settings that leave findings alone, or that are compared in another way."""
SHOWN = 120


@dataclass(frozen=True)
class Setting:
    """One thing that differs."""

    what: str
    before: str
    after: str
    forbids: bool
    """Whether findings cannot be compared because of it; else it may matter."""


def differing(before: Recording, after: Recording) -> list[Setting]:
    """All that differs, what forbids a comparison first."""
    found = [*_software(before, after), *_study(before, after), *_config(before, after)]
    return sorted(found, key=lambda setting: not setting.forbids)


def _software(before: Recording, after: Recording) -> Iterator[Setting]:
    pair = before.info, after.info
    yield from _pair("recording format", *(i.get("format") for i in pair), forbids=True)
    yield from _pair("recorded by", *(_words(i.get("software")) for i in pair), forbids=True)
    tools = [_mapping(i.get("tools")) for i in pair]
    for name in sorted({*tools[0], *tools[1]} - {"echoaudit", "system"}):
        # What a browser shows and sends changes with its version; other tools only read.
        forbids = name == "chromium"
        yield from _pair(f"version of {name}", *(t.get(name) for t in tools), forbids=forbids)


def _study(before: Recording, after: Recording) -> Iterator[Setting]:
    studies = [_mapping(r.study) for r in (before, after)]
    sites = [_named(s.get("sites"), "site") or _named(r.info["config"].get("sites"), "site")
             for s, r in zip(studies, (before, after), strict=True)]  # fmt: skip
    for name in sorted({*sites[0], *sites[1]}):
        yield from _pair(f"site {name}", *(_at(s, name, "url") for s in sites), forbids=True)
    personas = [_named(study.get("personas"), "persona") for study in studies]
    for name in sorted({*personas[0], *personas[1]}):
        pair = [each.get(name) for each in personas]
        if None in pair:
            there = [None if one is None else "there" for one in pair]
            yield from _pair(f"persona {name}", *there, forbids=True)
            continue
        yield from _persona(name, *(_mapping(one) for one in pair))
    rules = [study.get("exclude") or [] for study in studies]
    yield from _pair("rule of exclusion", *rules, forbids=True)


def _persona(name: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Setting]:
    for key in sorted({*before, *after} - {"catalogue", "accounts", "description"}):
        # What a version did not know yet, it did not state: that is no difference of the study.
        stated = key in before and key in after
        what = f"{key} of persona {name}"
        yield from _pair(what, before.get(key), after.get(key), forbids=stated)
    skills = [_named(_mapping(one.get("catalogue")).get("skills"), "id") for one in (before, after)]
    for skill in sorted({*skills[0], *skills[1]}):
        pair = [each.get(skill) for each in skills]
        what = f"skill {skill} of persona {name}"
        yield from _pair(what, *(_skill(one) for one in pair), forbids=True)


def _skill(skill: Mapping[str, Any] | None) -> str | None:
    """What is said to a skill; other facts about it may be corrected at will."""
    if skill is None:
        return None
    said = skill.get("utterances") or []
    return f"{skill.get('invocation')}: {' '.join(map(str, said))}"


def _config(before: Recording, after: Recording) -> Iterator[Setting]:
    flat = [dict(_flat(_mapping(r.info.get("config")))) for r in (before, after)]
    for name in sorted({*flat[0], *flat[1]}):
        if name.startswith(IRRELEVANT):
            continue
        yield from _pair(name, *(f.get(name) for f in flat), forbids=name in FORBIDS)


def _flat(value: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, inner in value.items():
        if isinstance(inner, Mapping):
            yield from _flat(inner, f"{above}{name}.")
        else:
            yield f"{above}{name}", inner


def _pair(what: str, before: Any, after: Any, *, forbids: bool) -> Iterator[Setting]:
    if before != after:
        yield Setting(what, _shown(before), _shown(after), forbids)


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    text = NOTHING if value is None else text
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"


def _words(value: Any) -> str:
    return " ".join(str(part) for part in _mapping(value).values())


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _named(values: Any, key: str) -> dict[str, Mapping[str, Any]]:
    """Objects of a list by what they call themselves."""
    items = values if isinstance(values, list) else []
    return {str(item[key]): item for item in items if isinstance(item, Mapping) and key in item}


def _at(items: Mapping[str, Mapping[str, Any]], name: str, key: str) -> Any:
    return items[name].get(key) if name in items else None
