"""Text to sound: offline voices (flite, espeak-ng, piper), gTTS (online), recorded sentences."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import unicodedata
from math import gcd
from pathlib import Path
from typing import Any

from echoaudit.errors import BadInput, Unavailable
from echoaudit.instruments.audio import RATE, Samples, to_pcm
from echoaudit.instruments.audio_files import soundfile_module
from echoaudit.instruments.voices_recorded import recorded, require
from echoaudit.study.models import SpeakerSettings

DEFAULT_VOICES = {"flite": "slt", "espeak-ng": "en", "gtts": "en", "files": "recorded"}
"""slt is the offline voice that wake-word models hear best (docs/voice.md has the figures)."""

_WAKE_WORD = re.compile(r"^(alexa|echo|computer|amazon|ziggy) (?=\w)", re.IGNORECASE)

ESPEAK_WORDS_PER_MINUTE = 160
PROGRAM_TIMEOUT = 30.0
"""Seconds an offline engine may take: it needs a fraction of one."""

INSTALL = {
    "flite": "sudo apt-get install flite",
    "espeak-ng": "sudo apt-get install espeak-ng",
    "piper": "pip install piper-tts (under the GPL), and download a voice",
}


def voice_of(settings: SpeakerSettings) -> str:
    """The voice that ``settings`` mean: their own or the engine's default.

    Of a voice that is a file, its name: where it lies says nothing about how it sounds.
    """
    if settings.engine == "piper":
        return _piper_model(settings).name
    return settings.voice or DEFAULT_VOICES[settings.engine]


def synthesise(text: str, settings: SpeakerSettings) -> Samples:
    """``text`` as 16 kHz mono 16-bit samples, at the engine's own loudness.

    ``BadInput`` for a text without a letter or digit and for a voice the engine lacks;
    ``Unavailable`` when the engine or the network is missing or too slow.
    """
    spoken = sayable(text)
    if settings.engine == "files":
        return _decode(recorded(text, settings), f"a recording of {text!r}")
    if settings.engine == "gtts":
        return _decode(_gtts(spoken, settings), f"gTTS ({voice_of(settings)})")
    return _offline(spoken, settings)


def sayable(text: str) -> str:
    """``text`` as one line for a voice; ``BadInput`` when there is nothing to say.

    Control characters go, and a wake word gets the comma that makes voices pause after it: of 83
    sentences said by flite's slt, 83 woke a device with the pause and 67 without.
    """
    plain = "".join(" " if unicodedata.category(letter)[0] in "CZ" else letter for letter in text)
    if not any(letter.isalnum() for letter in plain):
        raise BadInput(f"nothing to say in {text!r}: a sentence needs letters or digits")
    return _WAKE_WORD.sub(r"\1, ", " ".join(plain.split()))


def check(settings: SpeakerSettings) -> None:
    """Raise when the engine of ``settings`` cannot speak here; says nothing aloud."""
    if settings.engine == "gtts":
        _check_gtts(settings)
    elif settings.engine == "files":
        require((), settings)
    else:
        synthesise("check", settings)


def _check_gtts(settings: SpeakerSettings) -> None:
    if settings.speed != 1.0:
        raise BadInput(f"speaker.speed is {settings.speed}: gTTS speaks at 1.0 only")
    languages = _gtts_module("gtts.lang").tts_langs()
    if voice_of(settings) not in languages:
        raise BadInput(f"speaker.voice {voice_of(settings)!r} is no language of gTTS, such as 'en'")


# --- offline ----------------------------------------------------------------------------------


def _offline(text: str, settings: SpeakerSettings) -> Samples:
    with tempfile.TemporaryDirectory(prefix="echoaudit-voice-") as folder:
        written, sound = Path(folder, "text"), Path(folder, "sound.wav")
        # By file: a sentence that starts with a hyphen would be read as an option.
        written.write_text(text, encoding="utf-8")
        command = _command(settings, written, sound)
        said = _run(command, settings.engine, text)
        if not sound.exists() or "not found" in said.lower():
            raise BadInput(_no_voice(settings))
        return _decode(sound.read_bytes(), settings.engine)


def _command(settings: SpeakerSettings, written: Path, sound: Path) -> list[str]:
    voice = voice_of(settings)
    if settings.engine == "piper":
        scale = f"{1 / settings.speed:.4f}"
        model = str(_piper_model(settings))
        return [*_piper(), "--model", model, "--output_file", str(sound), "--length_scale", scale]
    if settings.engine == "flite":
        if voice not in _flite_voices():
            raise BadInput(_no_voice(settings))
        stretch = f"duration_stretch={1 / settings.speed:.4f}"
        return ["flite", "-voice", voice, "--setf", stretch, "-f", str(written), "-o", str(sound)]
    speed = str(round(ESPEAK_WORDS_PER_MINUTE * settings.speed))
    return ["espeak-ng", "-v", voice, "-s", speed, "-f", str(written), "-w", str(sound)]


def _piper() -> list[str]:
    """The program, or else the package beside this one."""
    from importlib.util import find_spec

    packaged = shutil.which("piper") is None and find_spec("piper") is not None
    return [sys.executable, "-m", "piper"] if packaged else ["piper"]


def _piper_model(settings: SpeakerSettings) -> Path:
    model = Path(settings.voice or "")
    if model.suffix != ".onnx" or not model.is_file():
        found = repr(settings.voice) if settings.voice else "nothing"
        raise BadInput(
            f"found {found} for speaker.voice; allowed: the file of a piper voice; "
            "example: voice: voices/en_US-lessac-medium.onnx"
        )
    return model


def _flite_voices() -> list[str]:
    return _run(["flite", "-lv"], "flite").partition(":")[2].split()


def _no_voice(settings: SpeakerSettings) -> str:
    wanted, engine = voice_of(settings), settings.engine
    allowed = {"espeak-ng": "see `espeak-ng --voices`", "piper": "a file that piper can read"}.get(
        engine
    ) or ", ".join(_flite_voices())
    return f"speaker.voice {wanted!r} is not a voice of {engine}; allowed: {allowed}"


def _run(command: list[str], engine: str, text: str = "") -> str:
    if shutil.which(command[0]) is None:
        raise Unavailable(f"the voice {engine!r} is not installed", fix=INSTALL[engine])
    try:
        done = subprocess.run(
            command,
            input=text,
            capture_output=True,
            text=True,
            timeout=PROGRAM_TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        raise Unavailable(f"{engine} did not speak within {PROGRAM_TIMEOUT:.0f} s") from late
    return done.stdout + done.stderr


def _decode(sound: bytes, engine: str) -> Samples:
    soundfile = soundfile_module()
    try:
        samples, rate = soundfile.read(io.BytesIO(sound), dtype="float64", always_2d=True)
    except soundfile.SoundFileError as broken:
        raise Unavailable(f"{engine} gave no readable sound ({broken})") from broken
    return to_pcm(_resample(samples.mean(axis=1), rate) * 32768)


def _resample(samples: Any, rate: int) -> Any:
    if rate == RATE:
        return samples
    from scipy.signal import resample_poly

    common = gcd(RATE, rate)
    return resample_poly(samples, RATE // common, rate // common)


# --- online -----------------------------------------------------------------------------------


def _gtts_module(name: str) -> Any:
    from importlib import import_module

    try:
        return import_module(name)
    except ImportError as missing:
        raise Unavailable(
            f"the voice 'gtts' needs gTTS ({missing})", fix="pip install 'echoaudit[voice]'"
        ) from missing


def _gtts(text: str, settings: SpeakerSettings) -> bytes:
    """MP3 from Google's service.

    The whole exchange is bounded by a thread of its own: name resolution knows no timeout.
    """
    _check_gtts(settings)
    outcome: list[bytes | Exception] = []
    worker = threading.Thread(target=_gtts_into, args=(outcome, text, settings), daemon=True)
    worker.start()
    worker.join(settings.timeout)
    if not outcome:
        raise _offline_error(settings, f"no answer within {settings.timeout:g} s")
    if isinstance(outcome[0], Exception):
        raise _offline_error(settings, _short(outcome[0])) from outcome[0]
    return outcome[0]


def _gtts_into(outcome: list[bytes | Exception], text: str, settings: SpeakerSettings) -> None:
    sound = io.BytesIO()
    try:
        speech = _gtts_module("gtts").gTTS(
            text, lang=voice_of(settings), lang_check=False, timeout=settings.timeout
        )
        speech.write_to_fp(sound)
    except Exception as error:  # noqa: BLE001 -- thread boundary: handed to the caller
        outcome.append(error)
    else:
        outcome.append(sound.getvalue())


def _short(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"


def _offline_error(settings: SpeakerSettings, reason: str) -> Unavailable:
    return Unavailable(
        f"the online voice 'gtts' cannot be reached ({reason})",
        fix="connect this machine to the internet or set speaker.engine to 'flite'",
    )
