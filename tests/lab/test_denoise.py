"""Noise is taken out, a voice stays."""

import numpy as np
import pytest

from echoaudit.instruments.voices import synthesise
from echoaudit.lab.denoise import RATE, denoised
from echoaudit.study.models import SpeakerSettings

PAUSE = np.zeros(RATE // 2, np.int16)


@pytest.fixture(scope="module")
def voice() -> np.ndarray:
    sound = synthesise("Alexa, open style check", SpeakerSettings())
    return np.concatenate([PAUSE, sound, PAUSE])


def rms(sound: np.ndarray) -> float:
    return float(np.sqrt(np.mean(sound.astype(float) ** 2)))


def test_a_voice_in_a_silent_room_stays(voice):
    heard = denoised(voice)
    assert len(heard) == len(voice)
    assert rms(heard.astype(float) - voice) < 0.05 * rms(voice)


def test_noise_sinks_and_the_voice_comes_nearer_to_what_was_said(voice):
    noise = np.random.default_rng(1).normal(0, 870, len(voice))
    noisy = np.clip(voice + noise, -32768, 32767).astype(np.int16)
    heard = denoised(noisy)
    assert rms(heard[: len(PAUSE) - 500]) < 0.4 * rms(noisy[: len(PAUSE) - 500])
    assert rms(heard.astype(float) - voice) < 0.8 * rms(noisy.astype(float) - voice)


def test_silence_stays_silence():
    assert not denoised(np.zeros(RATE, np.int16)).any()
