"""Who answered a sentence: the skill that was meant, another one, the platform, or nobody.

Names of skills appear in only half of the replies, and transcripts mangle them. So several
witnesses are heard, each by itself: what the decrypted device told its cloud, what it was told to
do, the words of the reply, the hosts whose names were looked up, and whether the reply is like one
that is known to be a certain skill's. Where they do not decide, or contradict each other, the
answer is "unknown".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from rapidfuzz import fuzz

from echoaudit.outcomes.answers_evidence import TurnEvidence, evidence
from echoaudit.outcomes.organisations import directory, party
from echoaudit.outcomes.sessions import skills_in
from echoaudit.study.replies import (
    alike,
    announced,
    apologises,
    mention,
    refuses,
    unopened,
    words_of,
)

if TYPE_CHECKING:
    from echoaudit.recording import Recording

By = Literal["skill", "other skill", "platform", "nobody", "unknown", ""]
Confidence = Literal["high", "medium", "low", ""]

MARGIN = 10.0
"""Likeness by which one skill must be ahead of all others."""
ALIKE_REPLY = 85.0
"""Likeness from which a reply is taken for one that a skill has given elsewhere."""
TALK = ("converse", "answer")
"""Purposes of sentences that are for the skill; others are for the platform."""


@dataclass(frozen=True)
class Answered:
    """Who answered, and what says so."""

    by: By
    skill: str = ""
    """Id of the skill that answered or that the platform acted on; empty when unknown or none."""
    basis: str = ""
    """The witnesses, separated by blanks: ``directive``, ``metadata``, ``words``, ``contacts``,
    ``silence``, ``known-reply``."""
    confidence: Confidence = ""


@dataclass(frozen=True)
class _Skill:
    id: str
    names: tuple[str, ...]
    vendor: str

    def mention(self, reply: str) -> float:
        return max((mention(name, reply) for name in self.names), default=0.0)

    def announced(self, reply: str) -> float:
        return max((announced(name, reply) for name in self.names), default=0.0)

    def sounds_like(self, other: _Skill) -> bool:
        return any(alike(one, two) for one in self.names for two in other.names)

    def is_inside(self, other: _Skill) -> bool:
        names = [f" {words_of(name)} " for name in self.names]
        return any(name in f" {words_of(whole)} " for name in names for whole in other.names)


def answered(recording: Recording) -> dict[tuple[str, int], Answered]:
    """Who answered each turn, by step id and the turn's place."""
    skills = _Skills(recording.study)
    turns = evidence(recording, skills.by_id)
    first = {key: _judge(turn, skills) for key, turn in turns.items()}
    replies = _replies(turns, first)
    return {key: _by_likeness(turns[key], judged, replies) for key, judged in first.items()}


def judge(heard: TurnEvidence, study: Mapping[str, Any]) -> Answered:
    """Who answered one turn by itself, among the skills of ``study``."""
    return _judge(heard, _Skills(study))


class _Skills:
    """The study's skills, and what their names have in common."""

    def __init__(self, study: Any) -> None:
        rows = (row for row in skills_in(study) if isinstance(row, dict))
        self.by_id = {row["id"]: _skill(row) for row in rows if isinstance(row.get("id"), str)}
        self._confusable: dict[str, frozenset[str]] = {}
        self._mentions: dict[str, dict[str, float]] = {}
        self._announced: dict[str, dict[str, float]] = {}

    def mentioned(self, reply: str) -> dict[str, float]:
        """Skills whose name is in a reply, with its likeness, 0 to 100."""
        if reply not in self._mentions:
            scores = {id_: skill.mention(reply) for id_, skill in self.by_id.items()}
            self._mentions[reply] = {id_: score for id_, score in scores.items() if score}
        return self._mentions[reply]

    def announced(self, reply: str) -> dict[str, float]:
        """Skills as which somebody announces himself in a reply, with the name's likeness."""
        if reply not in self._announced:
            scores = {id_: self.by_id[id_].announced(reply) for id_ in self.mentioned(reply)}
            self._announced[reply] = {id_: score for id_, score in scores.items() if score}
        return self._announced[reply]

    def confusable(self, skill: str) -> frozenset[str]:
        """Other skills whose names a transcript cannot tell from this one's."""
        if skill not in self._confusable:
            own = self.by_id[skill]
            others = (other for other in self.by_id.values() if other is not own)
            self._confusable[skill] = frozenset(o.id for o in others if o.sounds_like(own))
        return self._confusable[skill]

    def inside(self, skill: str, other: str) -> bool:
        """Whether a name of ``skill`` is a part of one of ``other``'s, and not the whole."""
        one, two = self.by_id[skill], self.by_id[other]
        return one.is_inside(two) and not two.is_inside(one)


def _skill(row: Mapping[str, Any]) -> _Skill:
    names = dict.fromkeys(str(row[key]) for key in ("name", "invocation") if row.get(key))
    return _Skill(row["id"], tuple(names), str(row.get("vendor") or ""))


# --- one turn by itself ------------------------------------------------------------------------


def _judge(heard: TurnEvidence, skills: _Skills) -> Answered:
    if heard.purpose == "stop":
        return Answered("")
    known, basis = _by_protocol(heard)
    if heard.spoke and (unopened(heard.reply) or (apologises(heard.reply) and not known)):
        return Answered("platform", "", "words", "high" if unopened(heard.reply) else "medium")
    if len(known) == 1:
        return _of(heard, next(iter(known)), basis, "high")
    if heard.spoke:
        return _by_votes(heard, known, skills)
    if known:
        return Answered("unknown", "", basis, "low")
    return Answered("nobody", "", "silence", "high")


def _by_protocol(heard: TurnEvidence) -> tuple[frozenset[str], str]:
    """The skills that the device's talk with its cloud leaves possible, and which side says so."""
    sides = {"directive": heard.directed, "metadata": heard.told}
    sides = {name: found for name, found in sides.items() if found}
    sure = {name: found for name, found in sides.items() if len(found) == 1} or sides
    return frozenset(skill for found in sure.values() for skill in found), " ".join(sure)


def _by_votes(heard: TurnEvidence, known: frozenset[str], skills: _Skills) -> Answered:
    """What words and contacts say, each for itself; more than one skill is nobody's.

    A name that nobody is announced by may be an ordinary word. Then it says no more than that the
    meant skill, whose name is in the reply, is likely; and it may agree with contacts.
    """
    contacts = _contacted(heard.hosts, heard.meant, skills)
    own = skills.announced(heard.reply)
    named = _announced(own, heard, skills) if own else _clear(skills.mentioned(heard.reply), skills)
    if not own and not (named & contacts if contacts else heard.meant in named):
        named = frozenset()
    votes = {"words": named, "contacts": contacts}
    if known:
        votes = {name: found & known for name, found in votes.items()}
    votes = {name: found for name, found in votes.items() if found}
    together = frozenset[str].intersection(*votes.values()) if votes else frozenset()
    if len(together) == 1:
        sure: Confidence = (
            "high" if len(votes) > 1 else "medium" if own or "contacts" in votes else "low"
        )
        return _of(heard, next(iter(together)), " ".join(votes), sure)
    return Answered("unknown", "", " ".join(votes), "low" if votes else "")


def _of(heard: TurnEvidence, skill: str, basis: str, confidence: Confidence) -> Answered:
    if skill != heard.meant:
        return Answered("other skill", skill, basis, confidence)
    by: By = "skill" if heard.purpose in TALK else "platform"
    return Answered(by, skill, basis, confidence)


def _announced(own: Mapping[str, float], heard: TurnEvidence, skills: _Skills) -> frozenset[str]:
    """The skills that a reply may announce, and the meant one where its name is there as well."""
    found = _clear(own, skills)
    beside = heard.meant in _clear(skills.mentioned(heard.reply), skills)
    return found | {heard.meant} if beside else found


def _clear(scores: Mapping[str, float], skills: _Skills) -> frozenset[str]:
    """The skills that names tell: one when it is clear, several when names sound alike."""
    best = max(scores.values(), default=0.0)
    leading = {skill for skill, score in scores.items() if score > best - MARGIN}
    # A name inside another one is said with it and tells nothing.
    leading = {one for one in leading if not any(skills.inside(one, two) for two in leading)}
    return frozenset(leading.union(*(skills.confusable(skill) for skill in leading)))


def _contacted(hosts: Iterable[str], meant: str, skills: _Skills) -> frozenset[str]:
    """The skill whose vendor's hosts were asked for; the meant one where a vendor has several."""
    vendors = {skill.vendor for skill in skills.by_id.values() if skill.vendor}
    asked = {vendor for vendor in vendors for host in hosts if _is_vendors(host, vendor)}
    found = {skill.id for skill in skills.by_id.values() if skill.vendor in asked}
    return frozenset({meant} if meant in found and len(asked) == 1 else found)


@lru_cache(maxsize=65_536)
def _is_vendors(host: str, vendor: str) -> bool:
    return party(directory().attribute(host), vendor) == "vendor"


# --- all turns together ------------------------------------------------------------------------


def _replies(
    turns: Mapping[tuple[str, int], TurnEvidence], judged: Mapping[tuple[str, int], Answered]
) -> dict[str, set[str]]:
    """Replies of skills that are known by metadata, or by two witnesses, by skill."""
    found: dict[str, set[str]] = defaultdict(set)
    for key, answer in judged.items():
        heard = turns[key]
        sure = answer.by in ("skill", "other skill") and answer.confidence == "high"
        if sure and heard.purpose in TALK and heard.reply and not refuses(heard.reply):
            found[answer.skill].add(words_of(heard.reply))
    return found


def _by_likeness(
    heard: TurnEvidence, judged: Answered, replies: Mapping[str, Iterable[str]]
) -> Answered:
    """An undecided reply is taken for the skill's whose known replies are most like it."""
    if judged.by != "unknown" or heard.purpose not in TALK:
        return judged
    words = words_of(heard.reply)
    scores = {
        skill: max(fuzz.ratio(words, reply, score_cutoff=ALIKE_REPLY) for reply in known)
        for skill, known in replies.items()
    }
    ranked = sorted(scores.values(), reverse=True)
    if not ranked or ranked[0] == 0 or (len(ranked) > 1 and ranked[0] - ranked[1] < MARGIN):
        return judged
    skill = max(scores, key=lambda one: scores[one])
    basis = f"{judged.basis} known-reply".strip()
    return _of(heard, skill, basis, "low")
