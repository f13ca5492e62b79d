"""What is said to a skill, derived from its page in the store by the published study's rule."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

QUOTED = 5
"""Quoted sentences that are taken from a skill's description, at most."""
_QUOTES = re.compile('["\u201c\u201d\u201e\u201f]')
_QUOTED_SENTENCE = re.compile('["\u201c\u201d](\\s*Alexa\\b[^"\u201c\u201d]*)["\u201c\u201d]')
_APOSTROPHES = "'\u2018\u2019"
_WAKE_WORD = re.compile(r"alexa\b", re.IGNORECASE)


def utterances(examples: Iterable[str], description: str = "") -> tuple[str, ...]:
    """Every example phrase, then at most five quoted sentences that begin with "Alexa".

    Quotes are stripped, "Alexa, " is put in front of a phrase without the wake word, and each
    sentence is kept once, in the order of the page.

    Args:
        examples: the phrases that the store shows as examples.
        description: the store's text on the skill.
    """
    said = [*examples, *_quoted(description)]
    return tuple(dict.fromkeys(sentence for text in said if (sentence := _sentence(text))))


def _quoted(description: str) -> Iterator[str]:
    for number, found in enumerate(_QUOTED_SENTENCE.finditer(description)):
        if number == QUOTED:
            return
        yield found[1]


def _sentence(text: str) -> str:
    plain = _unwrapped(" ".join(_QUOTES.sub("", text).split()))
    return plain if not plain or wakes(plain) else f"Alexa, {plain}"


def _unwrapped(text: str) -> str:
    """``text`` without single quotes around the whole of it; apostrophes inside stay."""
    around = len(text) > 1 and text[0] in _APOSTROPHES and text[-1] in _APOSTROPHES
    return text[1:-1].strip() if around else text


def wakes(text: str) -> bool:
    """Whether a sentence begins with the wake word."""
    return _WAKE_WORD.match(text) is not None
