"""What the words of a reply tell, in transcripts as recognisers write them."""

from __future__ import annotations

import pytest

from echoaudit.study.replies import alike, announced, mention, question, refuses, same_reply


@pytest.mark.parametrize(
    "reply",
    [
        "Sorry, I don't know that one.",
        "Sorry, I didn't understand that.",
        "Hmm, I don\u2019t know that one",
        "sorry i did understand that",
        "Sorry, I'm having trouble connecting right now.",
        "Style check is not enabled. You can say, enable style check.",
        "I'm not quite sure how to help you with that.",
    ],
)
def test_the_platform_refuses(reply: str) -> None:
    assert refuses(reply)


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "Sorry.",
        "Welcome to style check. Light layers are a good idea today.",
        "Ok, style check is enabled.",
        "Here is a fashion fact. Nobody is sorry that the first jeans had no belt loops.",
        "Sorry to keep you waiting. " + "This is one of the many stories that we have. " * 4,
    ],
)
def test_a_skill_that_talks_is_no_refusal(reply: str) -> None:
    assert not refuses(reply)


def test_a_name_is_found_however_it_was_written() -> None:
    assert mention("Sneaker Trivia", "Welcome to sneakertrivia. Which year?") == 100
    assert mention("Daily Wear", "welcome to daily ware your blue coat is clean") >= 80
    assert mention("Daily Wear", "Here is something new to eat.") == 0
    assert mention("Yoga", "Welcome to toga party") == 0
    assert mention("Yoga", "Welcome to yoga.") == 100
    assert mention("Washio", "Here is a fashion fact. The first jeans had no loops.") == 0
    assert mention("Clothing Color Assistant", "welcome to clothing co lor assistant") == 100
    assert mention("", "Welcome") == 0


@pytest.mark.parametrize(
    ("name", "reply"),
    [
        ("Tide", "Welcome to Tide. High water is at noon."),
        ("Tide", "welcome to tide here is a fact"),
        ("The Bible", "Welcome back to the Bible, where we read."),
        ("Bible", "Thanks for using the Bible! Goodbye."),
        ("Date Night", "Hi, this is Date Night. Are you two hungry?"),
        ("Date Night", "Okay, here's date night."),
        ("Date Night", "Thank you. That was date knight."),
        ("The Dog", "The dog here. Woof."),
        ("The Dog", "Ok, the dog is now enabled."),
        ("Patron", "I've enabled Patron."),
        ("Shoe Talk", "Welcome to shoe tall. Here you are."),
    ],
)
def test_who_speaks_announces_himself(name: str, reply: str) -> None:
    assert announced(name, reply) >= 80


ORDINARY = {
    "Tide": "The next high tide is at half past five.",
    "The Bible": "It is the bible of bird watchers.",
    "The Dog": "Welcome to the dog park. The dog is man's best friend.",
    "August": "August the fifth will be sunny.",
    "Patron": "He is the patron of all sailors, and a patron here.",
    "Portal": "This is a portal to another world.",
    "Date Night": "Try a date night at home. Welcome to date night fun.",
}


@pytest.mark.parametrize("name", ORDINARY)
def test_ordinary_words_announce_nobody(name: str) -> None:
    reply = ORDINARY[name]
    assert mention(name, reply), "it is there"
    assert announced(name, reply) == 0


def test_names_that_a_transcript_cannot_tell_apart() -> None:
    assert alike("Wine Pair", "Wine Pear")
    assert alike("Style Check", "Tile Check")
    assert not alike("Style Check", "Daily Wear")


def test_a_reply_again_is_known_despite_a_misheard_word() -> None:
    reply = "Welcome to style check. Light layers are a good idea today."
    assert same_reply(reply, "Welcome to style jack, light layers are a good idea today")
    assert not same_reply(reply, "Welcome to style check. What do you want to wear?")
    assert not same_reply("", "")


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        ("Welcome to Sneaker Trivia. Would you like to play?", "yes_no"),
        ("welcome back do you want another one", None),  # no mark and no sentence begins there
        ("Do you want another one", "yes_no"),
        ("Hello. What is your name?", "name"),
        ("Let us begin. How many players are there?", "number"),
        ("Pick a number between one and ten.", "number"),
        ("Which year saw the first rubber sole?", "number"),
        ("What would you like to wear?", "other"),
        ("What a day. Your blue coat is clean.", None),
        ("Is it cold? Then wear a coat.", None),
        ("", None),
    ],
)
def test_questions_and_what_they_want(reply: str, kind: str | None) -> None:
    assert question(reply) == kind
