"""Utterances of thirty real skills, checked by hand against the published study's rule.

Expected sentences were written down from the store's phrases and the quoted strings of its
descriptions: quotes stripped, "Alexa, " in front of a phrase without the wake word, each once.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from echoaudit.skills import import_skills

NAME = "shared/data/skills/alexa-skills-2017.jsonl"
LIST = next((up / NAME for up in Path(__file__).parents if (up / NAME).is_file()), Path(NAME))
EXPECTED = {
    "B01F9KJ1E6": [
        "Alexa, ask Sun Kiss to give me a kiss fact",
        "Alexa, ask Sun Kiss to tell me something new",
        "Alexa, ask Sun Kiss for a new kiss fact",
        "Alexa, ask Sun Kiss for a fact",
    ],
    "B01DJ8GTS6": [
        "Alexa, play guess the number",
        "Alexa, Is the number 75?",
        "Alexa, 42?",
        "Alexa, play guess the number!",
    ],
    "B01G9I53US": [
        "Alexa ask slater bug what he likes",
        "Alexa ask slater bug what he loves",
        "Alexa ask slater bug to share his favorite thing",
        "Alexa ask slater bug what slater likes",
    ],
    "B01LX26YBK": [
        "Alexa open WRAL...",
        "Alexa ask WRAL to give me the news",
        "Alexa ask WRAL for the forecast",
        "Alexa, ask WRAL for the weather forecast.",
    ],
    "B01BFQ95QW": [
        "Alexa, ask Iris to holler at John",
        "Alexa, ask Iris to holler at John Doe",
        "Alexa, ask Iris to contact John Doe",
        "Alexa, ask Iris to holler at [name of recipient]",
    ],
    "B01CKGPA06": [
        "Alexa, start Muzzley.",
        "Alexa, ask Muzzley to turn on the Bedroom light.",
        "Alexa, ask Muzzley to change the Bedroom light blue.",
        "Alexa, ask Muzzley to turn on the living room lights",
        "Alexa, open Muzzley",
    ],
    "B01N0R0GFR": [
        "Alexa, ask web analytics for the report",
        "Alexa, ask web analytics for the report for yesterday",
        "Alexa, ask web analytics for the complete report",
        "Alexa, ask Web Analytics for the report.",
    ],
    "B01HQW7016": [
        "Alexa ask fridge storage times how long can I keep a steak",
        "Alexa ask fridge storage times how long can I store chicken",
        "Alexa ask fridge storage times how long can I freeze tomatoes",
        "Alexa, ask fridge storage times how long can I keep a steak",
    ],
    "B01DCRJVQG": [
        "Alexa, ask Trash Pickup if trash is picked up this week",
        "Alexa, ask Trash Pickup for this week's schedule",
        "Alexa, ask Trash Pickup when is the next holiday",
        "Alexa, ask Trash Pickup if trash is picked up this week.",
    ],
    "B01FZX50B0": [
        "Alexa, open Rugby World Cup Quiz",
        "Alexa, My answer is 1",
        "Alexa, The answer is 3",
    ],
    "B01LXMKYM4": [
        "Alexa, open seattle mariners trivia unofficial",
        "Alexa, ask seattle mariners trivia unofficial to tell me a mariners trivia",
        "Alexa, tell seattle mariners trivia unofficial to give me a mariners fact",
    ],
    "B018WNJQ74": [
        "Alexa, open HuffPost (To hear latest news headlines for today)",
        "Alexa, ask HuffPost for the news",
        "Alexa, Stop, End or Cancel (To end the session)",
    ],
    "B01J01960E": [
        "Alexa, Open Gardening Trivia",
        "Alexa, the answer is two",
        "Alexa, start again",
    ],
    "B01BKTYYVK": [
        "Alexa, Launch Air Force Trivia",
        "Alexa, Is it One",
        "Alexa, The answer is Two",
    ],
    "B017YBAFW0": [
        "Alexa, open Quick Events.",
        "Alexa, tell Quick Events to add go for a walk tomorrow at 3:00.",
        "Alexa, tell Quick Events to add beach trip all day Saturday.",
    ],
    "B019G0TI52": [
        "Alexa, Start Star Wars Quiz",
        "Alexa, Launch Star Wars Quiz",
        "Alexa, Open Star Wars Quiz",
    ],
    "B01M1M7H70": [
        "Alexa launch fan trivia",
        "Alexa, start new game",
        "Alexa, I don't know that one",
    ],
    "B01LZX4SMC": [
        "Alexa, start Tim's Nebraska Facts.",
        "Alexa, Ask Tim's Nebraska Facts to tell me a fact.",
    ],
    "B01DL10338": [
        "Alexa, ask Noteworthy Quotes to read me a quote",
        "Alexa, open Noteworthy Quotes",
        "Alexa, Read me a quote",
    ],
    "B01HWCL2DC": [
        "Alexa, ask Ramayan Expert start new game",
        "Alexa, the answer is two",
        "Alexa, i don't know",
    ],
    "B01E08BW8Q": [
        "Alexa, open physics bowl.",
        "Alexa, I don't know.",
        "Alexa, The answer is four.",
    ],
    "B01N04W1TI": [
        "Alexa, open game of the galaxy",
        "Alexa, Repeat",
        "Alexa, Help",
    ],
    "B01MEEH8VA": [
        "Alexa Open Optic Trivia Game",
        "Alexa Play Optic Trivia Game",
    ],
    "B01I7CYQ2U": [
        "Alexa, open Einstein quotes.",
    ],
    "B01NCLR53R": [
        "Alexa Open champion picker",
        "Alexa Ask champion picker for a random champion",
    ],
    "B01MZ3YOTR": [
        "alexa good morning",
        "Alexa, good morning",
        "Alexa, rise and shine",
    ],
    "B01FOVT6VS": [
        "Alexa ask Chicago Bus Stop when is the next bus at stop 3766?",
        "Alexa, When is the next northbound 22 bus at Clark & Addison?",
        "Alexa, Stop 2005",
    ],
    "B01IJGEMLE": [
        "Alexa, ask Country Guru to give me a fact",
        "Alexa, ask country guru to tell me a fact",
        "Alexa, ask country guru to give me something",
    ],
    "B01N6LC4NE": [
        "Alexa, open Smash Facts",
        "Alexa, Give me a smash fact",
        "Alexa, Tell me a smash fact",
    ],
    "B01N6F3V6Y": [
        "Alexa Start happy quotes",
    ],
}


@pytest.mark.skipif(not LIST.is_file(), reason="the real list of skills is not here")
def test_the_real_list_is_read_whole_and_by_the_rule() -> None:
    found = import_skills([LIST])
    assert len(found.skills) + len(found.rejected) == 6024
    assert all(rejected.id and rejected.reason for rejected in found.rejected)
    said = {skill.id: list(skill.utterances) for skill in found.skills}
    assert {skill: said[skill] for skill in EXPECTED} == EXPECTED
