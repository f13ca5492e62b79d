"""How the simulated Echo understands speech: two recognisers that must agree.

Moonshine writes down what it hears, but mangles names. PocketSphinx then listens for the commands
that sound most like that and for nothing else, so it forces a command on any sound. Each command is
scored by how much its sounds (phones) resemble those of both; the best is taken if it is good
enough. (Listening for all of two thousand commands would take PocketSphinx seconds.)
"""

from __future__ import annotations

import heapq
import os
import re
import subprocess
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rapidfuzz import fuzz
from rapidfuzz.distance import Indel

from echoaudit.lab.denoise import denoised

RATE = 16_000
Samples = NDArray[np.int16]
Phones = tuple[str, ...]

WAKE_WORD = "alexa"
CARRIERS = frozenset({"open", "start", "launch", "enable", "disable", "ask", "tell", "play"})
"""First words that many commands share, and that therefore tell little about which one it is."""
FREE_WEIGHT = 0.6
"""Share of the free recogniser in the score; the grammar's has the rest."""
AGREEMENT = 0.7
"""Least score at which a command is believed: on 83 commands and 53 other sentences, clean,
99 % of the former were right and 9 to 17 % of the latter taken for a command."""
SHORTLIST = 60
"""Commands that the grammar holds at once: those most like what was heard freely."""
WAKE_PHONES: Phones = ("AH", "L", "EH", "K", "S", "AH")
WAKE_LIKENESS = 0.5
DITHER = 3.0
"""Standard deviation in LSB of the ear's own noise: digital silence breaks PocketSphinx."""


@dataclass(frozen=True)
class Command:
    """Something the cloud lets this Echo do, and the words for it."""

    id: str
    phrase: str


@dataclass(frozen=True)
class Understood:
    """What the recognisers made of a recording."""

    transcript: str
    """The free recogniser's words, without the wake word."""
    command: Command | None
    """None: they did not agree on any."""


class Hearing:
    """The recognisers, loaded, with the grammar of one set of commands. Not for several threads."""

    def __init__(self, commands: Iterable[Command]) -> None:
        self._words = Lexicon()
        self._commands = {normal(command.phrase): command for command in commands}
        self._commands.pop("", None)
        self._words.learn(self._commands)
        self._free = _moonshine()
        self._sounds = {phrase: self._sounds_of(phrase) for phrase in self._commands}

    def understand(self, sound: Samples) -> Understood:
        """The words in ``sound`` and the command they mean."""
        dithered = _dithered(denoised(sound))
        spoken = without_wake_word(normal(self._free(dithered)), self._words.phones)
        free = self._words.phones(spoken)
        likely = most_alike(free, self._sounds, SHORTLIST)
        forced = self._words.phones(normal(self._words.recognise(dithered, likely)))
        phrase = agreed(free, forced, {phrase: self._sounds[phrase] for phrase in likely})
        return Understood(spoken, self._commands[phrase] if phrase else None)

    def _sounds_of(self, phrase: str) -> Sounds:
        return Sounds(self._words.phones(phrase), self._words.phones(telling_words(phrase)))


def normal(text: str) -> str:
    """Lower-case words of ASCII letters, digits and apostrophes, without accents."""
    plain = unicodedata.normalize("NFKD", text.replace("\u2019", "'")).lower()
    ascii_only = plain.encode("ascii", "ignore").decode()
    return " ".join(re.findall(r"[a-z0-9]+(?:'[a-z]+)*", ascii_only))


def without_wake_word(text: str, phones: Callable[[str], Phones]) -> str:
    """``text`` without a first word that sounds like the wake word, however it was written."""
    first, _, rest = text.partition(" ")
    alike = Indel.normalized_similarity(phones(first), phones(WAKE_WORD))
    return rest if first and alike >= WAKE_LIKENESS else text


@dataclass(frozen=True)
class Sounds:
    """The phones of a phrase."""

    whole: Phones
    telling: Phones
    """Without a first word that many phrases share."""


def agreed(free: Phones, forced: Phones, phrases: Mapping[str, Sounds]) -> str | None:
    """The phrase that both recognisers' phones resemble most; None when none does enough."""
    scores = {phrase: score(free, forced, sounds) for phrase, sounds in phrases.items()}
    best = max(scores, key=lambda phrase: scores[phrase], default=None)
    return best if best is not None and scores[best] >= AGREEMENT else None


def most_alike(free: Phones, phrases: Mapping[str, Sounds], count: int) -> list[str]:
    """The phrases whose phones are most like what was heard freely, the best first."""
    return heapq.nlargest(count, phrases, key=lambda phrase: likeness(free, phrases[phrase]))


def score(free: Phones, forced: Phones, sounds: Sounds) -> float:
    """Likeness, 0 to 1, of what was heard freely and what the grammar forced with one phrase."""
    if not free or not forced:
        return 0.0
    in_grammar = Indel.normalized_similarity(forced, sounds.whole)
    return FREE_WEIGHT * likeness(free, sounds) + (1 - FREE_WEIGHT) * in_grammar


def likeness(free: Phones, sounds: Sounds) -> float:
    """How much what was heard freely is like one phrase, 0 to 1."""
    # With the wake word in front: alone, one misheard phone in "stop" would weigh a quarter.
    whole = Indel.normalized_similarity(WAKE_PHONES + free, WAKE_PHONES + sounds.whole)
    telling = fuzz.partial_ratio(sounds.telling, free) / 100
    return min(whole, (whole + telling) / 2)


def telling_words(phrase: str) -> str:
    """``phrase`` without its first word when that is a carrier, such as "open"."""
    first, _, rest = phrase.partition(" ")
    return rest if first in CARRIERS and rest else phrase


class Lexicon:
    """How words sound: PocketSphinx's dictionary, and flite's letter-to-sound rules beyond it."""

    def __init__(self) -> None:
        from pocketsphinx import Decoder, get_model_path

        model = get_model_path("en-us/en-us")
        dictionary = get_model_path("en-us/cmudict-en-us.dict")
        self._decoder: Any = Decoder(hmm=model, dict=dictionary, lm=None, loglevel="FATAL")
        self._sounds: dict[str, Phones] = {}

    def phones(self, text: str) -> Phones:
        """The phones of a normal text."""
        return tuple(phone for word in text.split() for phone in self._word(word))

    def _word(self, word: str) -> Phones:
        if word not in self._sounds:
            known = self._decoder.lookup_word(word)
            self._sounds[word] = tuple(known.split()) if known else letters_to_sounds([word])[0]
        return self._sounds[word]

    def learn(self, phrases: Iterable[str]) -> None:
        """Let the recogniser know the words of ``phrases``."""
        self._decoder.add_word("alexa(2)", " ".join(WAKE_PHONES), False)
        words = {word for phrase in phrases for word in phrase.split()}
        unknown = sorted(word for word in words if self._decoder.lookup_word(word) is None)
        self._sounds |= dict(zip(unknown, letters_to_sounds(unknown), strict=True))
        for word in unknown:
            if self._sounds[word]:
                self._decoder.add_word(word, " ".join(self._sounds[word]), False)

    def recognise(self, sound: Samples, phrases: Iterable[str]) -> str:
        """Which of ``phrases``, after the wake word, ``sound`` is most like; without wake word."""
        usable = [phrase for phrase in phrases if all(map(self._word, phrase.split()))]
        self._decoder.add_jsgf_string("commands", jsgf(usable))
        self._decoder.activate_search("commands")
        self._decoder.start_utt()
        self._decoder.process_raw(sound.tobytes(), full_utt=True)
        self._decoder.end_utt()
        heard = self._decoder.hyp()
        return heard.hypstr.removeprefix(WAKE_WORD) if heard else ""


def jsgf(phrases: Iterable[str]) -> str:
    """A JSGF grammar of the wake word followed by one of ``phrases``."""
    choice = " | ".join(phrases) or "stop"
    return f"#JSGF V1.0;\ngrammar commands;\npublic <command> = {WAKE_WORD} ( {choice} );\n"


_FLITE_PHONES = {"ax": "AH", "axr": "ER"}


def letters_to_sounds(words: Sequence[str]) -> list[Phones]:
    """The phones flite gives each word, in CMUdict's alphabet; none for one it cannot say."""
    # A paragraph each, so that no word sounds as it would beside another.
    lines = _flite("\n\n".join(words) + "\n")
    if len(lines) != len(words):
        lines = ["".join(_flite(word)) for word in words]
    return [_cmudict(line) for line in lines]


def _flite(text: str) -> list[str]:
    command = ["flite", "-ps", "-f", "/dev/stdin", "-o", "none"]
    said = subprocess.run(
        command, input=text, capture_output=True, text=True, timeout=60, check=False
    )
    return said.stdout.splitlines()


def _cmudict(flite: str) -> Phones:
    return tuple(_FLITE_PHONES.get(p, p.upper()) for p in flite.split() if p != "pau")


def _moonshine() -> Callable[[Samples], str]:
    # Many Echos share few cores: more threads double the work and save no time. The library
    # reads this when it loads.
    os.environ.setdefault("MOONSHINE_ORT_SINGLE_THREAD", "1")
    from moonshine_voice import ModelArch, Transcriber, get_model_path

    model: Any = Transcriber(str(get_model_path("tiny-en")), ModelArch.TINY)

    def recognise(sound: Samples) -> str:
        floats = (sound.astype(np.float32) / 32768).tolist()
        return " ".join(
            line.text for line in model.transcribe_without_streaming(floats, RATE).lines
        )

    return recognise


def _dithered(sound: Samples) -> Samples:
    noise = np.random.default_rng(0).normal(0, DITHER, len(sound))
    dithered: Samples = np.clip(sound + np.rint(noise), -32768, 32767).astype(np.int16)
    return dithered
