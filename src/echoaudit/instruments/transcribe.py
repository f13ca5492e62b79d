"""Sound to text, offline: one engine per process, loaded when first needed, shared by threads."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from typing import Any, Literal

import numpy as np

from echoaudit.errors import Unavailable
from echoaudit.instruments.audio import RATE, Samples, to_pcm

Engine = Literal["moonshine", "pocketsphinx"]

DITHER = 3.0
"""Standard deviation in LSB of added noise: digital silence breaks PocketSphinx's features."""


@dataclass(frozen=True)
class Transcript:
    """Words heard in a recording."""

    text: str
    engine: str
    """Engine, version and model."""


_LOCK = threading.Lock()


def transcribe(samples: Samples, engine: Engine) -> Transcript:
    """What is said in ``samples`` (16 kHz mono), as far as ``engine`` understands it.

    ``Unavailable`` when the engine is not installed. Calls wait for each other: both engines
    need a tenth of a second for a sentence and neither is safe in two threads.
    """
    with _LOCK:
        recogniser, label = _load(engine)
        return Transcript(" ".join(recogniser(samples).split()), label)


def check(engine: Engine) -> None:
    """``Unavailable`` when ``engine`` cannot be loaded."""
    with _LOCK:
        _load(engine)


@cache
def _load(engine: Engine) -> tuple[Callable[[Samples], str], str]:
    loader = {"moonshine": _moonshine, "pocketsphinx": _pocketsphinx}[engine]
    try:
        return loader()
    except ImportError as missing:
        extra = {"moonshine": "echoaudit[voice]", "pocketsphinx": "echoaudit[lab]"}[engine]
        raise Unavailable(
            f"the transcriber {engine!r} is not installed ({missing})", fix=f"pip install '{extra}'"
        ) from missing


def _moonshine() -> tuple[Callable[[Samples], str], str]:
    # On two cores a second thread doubled the work and saved no time; read when the library loads.
    os.environ.setdefault("MOONSHINE_ORT_SINGLE_THREAD", "1")
    from moonshine_voice import ModelArch, Transcriber, get_model_path

    try:
        model: Any = Transcriber(str(get_model_path("tiny-en")), ModelArch.TINY)
    except Exception as broken:  # its loader raises bare Exceptions of several kinds
        raise Unavailable(
            f"moonshine's model cannot be loaded ({broken})",
            fix="pip install 'moonshine-voice==0.1.0': later wheels lack the model",
        ) from broken

    def recognise(samples: Samples) -> str:
        sound = (samples.astype(np.float32) / 32768).tolist()
        return " ".join(line.text for line in model.transcribe_without_streaming(sound, RATE).lines)

    return recognise, f"moonshine-voice {metadata.version('moonshine-voice')} tiny-en"


def _pocketsphinx() -> tuple[Callable[[Samples], str], str]:
    from pocketsphinx import Decoder

    decoder: Any = Decoder(samprate=float(RATE), loglevel="FATAL")

    def recognise(samples: Samples) -> str:
        decoder.start_utt()
        decoder.process_raw(_dithered(samples).tobytes(), full_utt=True)
        decoder.end_utt()
        heard = decoder.hyp()
        return heard.hypstr if heard else ""

    return recognise, f"pocketsphinx {metadata.version('pocketsphinx')} en-us"


def _dithered(samples: Samples) -> Samples:
    # The same noise each time: the same recording must always give the same words.
    return to_pcm(samples + np.random.default_rng(0).normal(0, DITHER, len(samples)))
