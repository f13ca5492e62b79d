"""What a reply's words tell, as far as words can tell: refusals, questions, names, repeats.

The runner decides by these rules what to say next, outcomes by the same ones who answered.
Transcripts mangle words, so everything is compared by likeness (rapidfuzz, 0 to 100) of letters.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from rapidfuzz import fuzz

MENTIONED = 80.0
"""Likeness from which a name counts as mentioned: "tile check" is 89 like "style check"."""
SAME_REPLY = 90.0
"""Likeness from which a reply is another one again."""
REFUSED = 88.0
"""Likeness from which a phrase of the platform counts as said."""
LONGEST_REFUSAL = 24
"""Words beyond which a reply with an apology in it is no refusal but a skill's talk."""
SHORTEST_NAME = 5
"""Letters below which a name must be there word for word: any text resembles a short one."""
SPLIT_WORDS = 2
"""Words more than a name has into which a transcript may break it."""

NOT_ENABLED = ("is not enabled", "isn't enabled", "you can say enable", "to enable it say enable")
"""The platform about a skill that it would not open."""
APOLOGIES = (
    "sorry i don't know that",
    "i don't know that one",
    "sorry i didn't understand",
    "sorry i didn't get that",
    "sorry i didn't catch that",
    "i'm not sure how to help",
    "i'm not quite sure how to",
    "sorry i'm not sure about that",
    "sorry i'm having trouble",
    "i'm having trouble understanding",
    "i'm having trouble accessing",
    "sorry i can't find",
    "i can't find a skill",
    "i couldn't find a skill",
    "sorry i couldn't find",
    "sorry something went wrong",
    "there was a problem with the requested skill",
    "sorry i don't have an answer",
    "that skill is not available",
    "isn't supported on this device",
)
"""The platform when it did not understand, did not find or could not."""

Question = Literal["yes_no", "name", "number", "other"]
"""What kind of answer a question wants."""

_WORDS = re.compile(r"[a-z0-9]+(?:'[a-z]+)?")
_SENTENCES = re.compile(r"[^.!?]+[.!?]?")
_WANTS_NAME = re.compile(r"\b(your|the|first|full|last) name\b|\bcall you\b|\bwho are you\b")
_WANTS_NUMBER = re.compile(
    r"\bhow (many|much|old|long|often)\b|\b(what|which|pick a|say a|choose a) (number|year|age)\b"
    r"|\bnumber between\b"
)
_YES_NO = re.compile(
    r"(is|are|am|was|were|do|does|did|can|could|would|will|shall|should|have|has|had|want|wanna"
    r"|ready|may|might)\b"
)
_ASKING = re.compile(r"(what|which|who|whom|whose|where|when|why|how|pick|choose|say)\b")
_PAUSE, _STOP = re.compile(r"[.,!?:;\u2026\u2013\u2014]"), re.compile(r"[.!?\u2026]")
_WELCOMES = re.compile(
    r"\b(welcome (back )?to|thank(s| you) for (using|opening|enabling|choosing|calling|playing"
    r"|joining|visiting|listening to)|you( are|'re) listening to|(hello|greetings) from"
    r"|(enabl|disabl)(ed|ing))( the| your| our)?$"
)
_GREETS = re.compile(
    r"((hi|hello|hey|ok|okay|alright|all right|sure|great|well|there|good (morning|afternoon"
    r"|evening))( |$))*"
)
_PRESENTS = re.compile(
    _GREETS.pattern + r"(this is|that was|here is|here's|i am|i'm|my name is|opening|launching"
    r"|starting)( the| your| our)?"
)
_GOES_ON = re.compile(
    r"(skill|where|your|our|the|for|here|here's|i|i'm|i'll|with|a|an|my|we|we'll|by|and|today|in|what"
    r"|you|you're|this|that|it|it's|let's|let|would|do|are|to|please|say|tell|how|which|now)\b"
)
_IS_ENABLED = re.compile(r"(skill )?(is|has been) (now |already )?(enabled|disabled)\b")
_OFFERS = ("would you like", "do you want", "shall i", "should i", "are you ready")


def words_of(text: str) -> str:
    """The words of ``text`` in lower case, a space between two, without punctuation."""
    return " ".join(_WORDS.findall(text.lower().replace("\u2019", "'")))


@lru_cache(maxsize=4096)
def refuses(reply: str) -> bool:
    """Whether the platform says that it did not understand, find or open what was asked for."""
    return apologises(reply) or unopened(reply)


def apologises(reply: str) -> bool:
    """Whether a short reply is one of the platform's apologies.

    A skill may apologise in the same words: metadata, where there is any, goes before this.
    """
    return _says(reply, APOLOGIES)


def unopened(reply: str) -> bool:
    """Whether the platform says that a skill is not enabled."""
    return _says(reply, NOT_ENABLED)


def _says(reply: str, phrases: Iterable[str]) -> bool:
    words = words_of(reply)
    if not words or words.count(" ") >= LONGEST_REFUSAL:
        return False
    return any(
        len(words) >= 0.8 * len(phrase)
        and fuzz.partial_ratio(phrase, words, score_cutoff=REFUSED) > 0
        for phrase in phrases
    )


def same_reply(one: str, other: str) -> bool:
    """Whether two replies have the same words, but for a few that were heard differently."""
    words, others = words_of(one), words_of(other)
    return bool(words) and fuzz.ratio(words, others, score_cutoff=SAME_REPLY) > 0


def mention(name: str, reply: str) -> float:
    """How much the words of ``reply`` that are most like ``name`` resemble it, 0 to 100.

    Blanks do not count: "sneakertrivia" is "sneaker trivia". But whole words are compared, or
    "washio" would be found in "a fashion fact". 0 below :data:`MENTIONED`.
    """
    words, spoken = words_of(name), words_of(reply)
    letters = words.replace(" ", "")
    if len(letters) < SHORTEST_NAME:
        return 100.0 if letters and f" {words} " in f" {spoken} " else 0.0
    heard = spoken.split()
    longest = words.count(" ") + 1 + SPLIT_WORDS
    return max(
        (
            fuzz.ratio(letters, "".join(heard[start:end]), score_cutoff=MENTIONED)
            for start in range(len(heard))
            for end in range(start + 1, min(start + longest, len(heard)) + 1)
        ),
        default=0.0,
    )


def announced(name: str, reply: str) -> float:
    """How much a name with which ``reply`` announces somebody resembles ``name``, 0 to 100.

    Names of skills are ordinary words ("Tide", "The Dog", "Date Night"): only "Welcome to Tide",
    "This is Tide.", "Tide here.", "Tide is enabled" and the like tell that somebody is called so.
    What follows must end the name, for "Welcome to the dog park" is somebody else. 0 below
    :data:`MENTIONED`.
    """
    heard = _Heard.of(reply)
    found = heard.places(name)
    best = [
        (score, begin, end)
        for score, begin, end in found
        if not any(other > score and first < end and begin < last for other, first, last in found)
    ]
    return max((score for score, *place in best if heard.announces(*place)), default=0.0)


@dataclass(frozen=True)
class _Heard:
    """The words of a reply, and where it pauses."""

    words: tuple[str, ...]
    pauses: tuple[str, ...]
    """What stands between each word and the next one, or the end."""

    @staticmethod
    @lru_cache(maxsize=4096)
    def of(reply: str) -> _Heard:
        text = reply.lower().replace("\u2019", "'")
        found = list(_WORDS.finditer(text))
        ends = [match.start() for match in found[1:]] + [len(text)]
        between = (text[match.end() : end] for match, end in zip(found, ends, strict=True))
        return _Heard(tuple(match.group() for match in found), tuple(between))

    def places(self, name: str) -> list[tuple[float, int, int]]:
        """Where words resemble a name: likeness, first word, and the one behind the last."""
        words = words_of(name).split()
        letters = "".join(words)
        if len(letters) < SHORTEST_NAME:
            size = len(words)
            starts = range(len(self.words) - size + 1) if words else ()
            return [(100.0, n, n + size) for n in starts if list(self.words[n : n + size]) == words]
        return [
            (score, begin, end)
            for begin in range(len(self.words))
            for end in range(begin + 1, min(begin + len(words) + SPLIT_WORDS, len(self.words)) + 1)
            if (score := fuzz.ratio(letters, "".join(self.words[begin:end]))) >= MENTIONED
        ]

    def announces(self, begin: int, end: int) -> bool:
        """Whether the words from ``begin`` to ``end`` are who speaks, or who is spoken of."""
        before, after = " ".join(self._sentence(begin)), " ".join(self.words[end : end + 4])
        ends = end == len(self.words) or bool(_PAUSE.search(self.pauses[end - 1]))
        if _IS_ENABLED.match(after) or (
            _WELCOMES.search(before) and (ends or _GOES_ON.match(after))
        ):
            return True
        here = after.startswith("here") and bool(_PAUSE.search(self.pauses[end]) or not after[4:])
        return (ends and bool(_PRESENTS.fullmatch(before))) or (
            here and bool(_GREETS.fullmatch(before))
        )

    def _sentence(self, begin: int) -> tuple[str, ...]:
        """The words before ``begin`` in its sentence."""
        first = next((n for n in range(begin, 0, -1) if _STOP.search(self.pauses[n - 1])), 0)
        return self.words[first:begin]


def alike(one: str, other: str) -> bool:
    """Whether two names are so alike that a transcript cannot tell them apart."""
    letters, others = (words_of(name).replace(" ", "") for name in (one, other))
    enough = min(len(letters), len(others)) >= SHORTEST_NAME
    return enough and fuzz.ratio(letters, others, score_cutoff=MENTIONED) > 0


def question(reply: str) -> Question | None:
    """What kind of answer the last sentence of ``reply`` asks for; ``None`` when it asks nothing.

    A question has its mark, or, for transcribers that write none, begins as questions do.
    """
    sentences = [part.strip() for part in _SENTENCES.findall(reply) if part.strip()]
    if not sentences:
        return None
    last = sentences[-1]
    words = words_of(last)
    if not last.endswith("?") and not _begins_as_question(words):
        return None
    return _wanted(words)


def _begins_as_question(words: str) -> bool:
    return bool(_YES_NO.match(words) or _ASKING.match(words))


def _wanted(words: str) -> Question:
    if _WANTS_NAME.search(words):
        return "name"
    if _WANTS_NUMBER.search(words):
        return "number"
    if _ASKING.match(words):
        return "other"
    return "yes_no" if _YES_NO.match(words) or any(o in words for o in _OFFERS) else "other"
