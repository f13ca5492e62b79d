"""Noise is taken out, a voice stays."""

import subprocess
import sys

import numpy as np
import pytest
from scipy.signal import istft, stft

from echoaudit.instruments.voices import synthesise
from echoaudit.lab.denoise import HOP, RATE, WINDOW, denoised, sound_of, spectra
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


@pytest.mark.parametrize("length", [WINDOW, WINDOW + 1, 3 * RATE, 3 * RATE - 77])
def test_spectra_are_scipys_and_lead_back_to_the_sound(length):
    sound = np.random.default_rng(length).normal(0, 3000, length)
    _, _, expected = stft(sound, RATE, nperseg=WINDOW, noverlap=WINDOW - HOP)
    found = spectra(sound)
    np.testing.assert_allclose(found, expected, atol=1e-9)
    _, back = istft(found, RATE, nperseg=WINDOW, noverlap=WINDOW - HOP)
    np.testing.assert_allclose(sound_of(found), back, atol=1e-8)
    np.testing.assert_allclose(sound_of(found)[:length], sound, atol=1e-8)


def test_an_echo_starts_without_scipy():
    look = "import sys, echoaudit.lab.echo; sys.exit('scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", look], check=False).returncode == 0
