"""Values that the evidence itself knows: the device's address, what was said, the study's skills.

They are found wherever they stand, plain or encoded, whatever the field is called. Nothing here
knows more than the recording does.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from echoaudit.outcomes.identifiers_decode import unfold
from echoaudit.outcomes.identifiers_search import KEY, forms
from echoaudit.outcomes.sessions import KINDS, skills_in
from echoaudit.study.models import DataType

if TYPE_CHECKING:
    from echoaudit.recording import Recording, StepEvidence

SHORTEST = 8
"""Characters of a value that is looked for by itself; shorter ones would match by chance."""
WAKE_WORD = "alexa"
_MAC = re.compile(r"(?:[0-9a-f]{2}:){5}[0-9a-f]{2}")
_WORDS = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)?")
_STARTS = re.compile(r"(?<![A-Za-z0-9])[A-Za-z0-9_\-+/]")
_DIGESTS = ("md5", "sha1", "sha256")


@dataclass(frozen=True, slots=True)
class Known:
    """A value, what it is, and how it may be recognised."""

    type: DataType
    value: str


@dataclass
class KnownValues:
    """Known values, ready to be looked for in texts."""

    _forms: dict[str, list[tuple[str, Known, str]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    _sentences: dict[str, Known] = field(default_factory=dict)
    """By their words in lower case, a space between two."""

    def add(self, known: Known, variants: Iterable[str] = ()) -> None:
        """Look for a value and for other ways to write it, plain or encoded."""
        for variant in {known.value, *variants}:
            self._keep(known, forms(variant))

    def add_sentence(self, text: str) -> None:
        """Look for what was said, with or without the wake word, whatever the punctuation."""
        known = Known("transcript", sentence(text))
        if " " not in known.value:
            return
        self._sentences[known.value] = known
        # Other encodings are undone and read as words; a digest must be of the same letters.
        for variant in {known.value, " ".join(_words(text)), *_spellings(text)}:
            self._keep(known, (one for one in forms(variant) if one[1] in _DIGESTS))

    def _keep(self, known: Known, written: Iterable[tuple[str, str]]) -> None:
        for form, encoding in written:
            if len(form) >= SHORTEST:
                self._forms[form[:KEY]].append((form, known, encoding))

    def search(self, text: str, *, deep: bool = True) -> dict[Known, str]:
        """The known values in a text, each with the encoding that hid it.

        Unless ``deep``, only in the text as it stands.
        """
        found: dict[Known, str] = {}
        for layer, encoding in unfold(text) if deep else [(text, "plain")]:
            for known, how in self._look_up(layer):
                found.setdefault(known, encoding if how == "plain" else how)
            for known in self._said(layer):
                found.setdefault(known, encoding)
        return found

    def _look_up(self, text: str) -> Iterator[tuple[Known, str]]:
        for start in _STARTS.finditer(text):
            place = start.start()
            for form, known, encoding in self._forms.get(text[place : place + KEY], ()):
                end = place + len(form)
                if text.startswith(form, place) and not text[end : end + 1].isalnum():
                    yield known, encoding

    def _said(self, text: str) -> Iterator[Known]:
        words = f" {' '.join(_words(text))} "
        said = [known for known in self._sentences.values() if f" {known.value} " in words]
        # Of a sentence and one that begins the same, the longer is what was sent.
        for known in said:
            if not any(known != other and known.value in other.value for other in said):
                yield known


def sentence(text: str) -> str:
    """A sentence by its words alone, in lower case and without the wake word."""
    words = _words(text)
    return " ".join(words[1:] if words[:1] == [WAKE_WORD] else words)


def _spellings(text: str) -> set[str]:
    """A sentence with and without its first word, its final point and its capitals."""
    whole = {text.strip(), text.strip().rstrip(".?!")}
    spelled = whole | {each.partition(" ")[2] for each in whole}
    return spelled | {each.lower() for each in spelled}


def _words(text: str) -> list[str]:
    return [word.replace("\u2019", "'") for word in _WORDS.findall(text.lower())]


def known_values(recording: Recording) -> dict[str, KnownValues]:
    """What the evidence knows of each account, over all its sessions."""
    skills = sorted(set(_skill_ids(recording.study)))
    found: dict[str, KnownValues] = defaultdict(partial(_of_skills, skills))
    for step in recording.steps():
        if step.kind in KINDS:
            _learn(found[step.account], step)
    return found


def _of_skills(skills: Iterable[str]) -> KnownValues:
    known = KnownValues()
    for skill in skills:
        known.add(Known("skill id", skill), {skill.lower()})
    return known


def _learn(known: KnownValues, step: StepEvidence) -> None:
    about = step.json("session.json") if step.has("session.json") else {}
    for mac in _macs(about):
        known.add(Known("device id", mac), _written(mac))
    turns = step.json("transcript.json") if step.has("transcript.json") else []
    for text in _texts(turns):
        known.add_sentence(text)


def _skill_ids(study: Any) -> Iterator[str]:
    for skill in skills_in(study):
        id_ = skill.get("id") if isinstance(skill, dict) else None
        if isinstance(id_, str) and len(id_) >= SHORTEST:
            yield id_


def _macs(about: Any) -> Iterator[str]:
    device = about.get("device") if isinstance(about, dict) else None
    mac = device.get("mac") if isinstance(device, dict) else None
    if isinstance(mac, str) and _MAC.fullmatch(mac.lower()):
        yield mac.lower()


def _written(mac: str) -> set[str]:
    """The ways in which a hardware address is written."""
    lower = {mac, mac.replace(":", "-"), mac.replace(":", "")}
    return lower | {way.upper() for way in lower}


def _texts(turns: Any) -> Iterator[str]:
    for turn in turns if isinstance(turns, list) else ():
        text = turn.get("text") if isinstance(turn, dict) else None
        if isinstance(text, str):
            yield text
