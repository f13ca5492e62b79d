"""What a room does to a sound."""

from pathlib import Path

import numpy as np
import pytest

from echoaudit.errors import BadInput
from echoaudit.lab import acoustics as lab_acoustics
from echoaudit.lab.acoustics import RATE, VOICE_LEVEL, acoustics, impulse_response
from echoaudit.study import load_config
from echoaudit.study.models import Room

CONFIG = Path(__file__).parents[2] / "configs" / "lab.yaml"
SOUND = np.random.default_rng(3).normal(0, 3000, RATE).astype(np.int16)


def path(**settings) -> lab_acoustics.Path:
    return lab_acoustics.Path(acoustics(Room(**settings)), "one ear")


def test_a_room_without_walls_or_noise_is_heard_bit_for_bit():
    assert path().carry(SOUND) is SOUND


def test_twice_the_distance_is_half_the_sound():
    assert np.array_equal(path(distance_m=2.0).carry(SOUND), np.rint(SOUND / 2))


@pytest.mark.parametrize("seconds", [0.3, 1.0])
def test_reverberation_fades_by_60_db_in_its_time_and_does_not_make_louder(seconds):
    response = impulse_response(1.0, seconds)
    assert np.sum(response**2) == pytest.approx(1)
    left = np.cumsum(response[::-1] ** 2)[::-1]  # Schroeder's backward integration
    fading = 10 * np.log10(left[RATE // 50 : round(seconds * RATE / 2)])
    slope = np.polyfit(np.arange(len(fading)) / RATE, fading, 1)[0]
    assert -60 / slope == pytest.approx(seconds, rel=0.15)


def test_further_away_more_of_what_is_heard_is_reverberation():
    near, far = (impulse_response(distance, 0.5) for distance in (1.0, 4.0))
    assert near[0] == pytest.approx(4 * far[0])
    assert np.array_equal(near[1:], far[1:])


def test_frame_by_frame_is_heard_as_in_one_piece():
    settings = {"distance_m": 2.0, "reverberation_s": 0.4}
    whole, pieces = path(**settings).carry(SOUND), path(**settings)
    heard = np.concatenate([pieces.carry(frame) for frame in SOUND.reshape(-1, 160)])
    assert np.abs(heard.astype(int) - whole).max() <= 1
    assert len(path(**settings).whole(SOUND)) > len(SOUND) + 0.4 * RATE


def test_noise_has_its_level_and_is_the_same_each_time():
    silence = np.zeros(RATE, np.int16)
    noise = path(noise=0.02).carry(silence)
    assert np.std(noise / 32768) == pytest.approx(0.02, rel=0.05)
    assert np.array_equal(noise, path(noise=0.02).carry(silence))
    below = acoustics(Room(snr_db=20.0)).noise
    assert below == pytest.approx(VOICE_LEVEL / 10)
    assert acoustics(Room(snr_db=20.0, distance_m=2.0)).noise == pytest.approx(below / 2)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"lab.room.noise": "0.1", "lab.room.snr_db": "15"}, "one of noise and snr_db"),
        ({"lab.room.distance_m": "0.1"}, "distance_m"),
        ({"lab.room.walls": "4"}, "walls"),
        ({"lab.air": "quick"}, "real"),
    ],
)
def test_a_faulty_room_is_one_line(settings, told):
    with pytest.raises(BadInput, match=told):
        load_config(CONFIG, settings)
