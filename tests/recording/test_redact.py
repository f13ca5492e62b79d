import hashlib

from hypothesis import given
from hypothesis import strategies as st

from echoaudit.recording import redact


def test_a_token_is_short_stable_and_says_how_it_was_made():
    digest = hashlib.sha256(b"AMZN-UID-42").hexdigest()
    assert redact("AMZN-UID-42") == f"sha256:{digest[:16]}"


@given(st.text(st.characters()), st.text(st.characters()))
def test_equal_identifiers_and_only_they_share_a_token(a, b):
    assert (redact(a) == redact(b)) == (a == b)


def test_strings_that_are_no_unicode_get_a_token_too():
    assert redact("\ud800") != redact("\ufffd")
