"""What the score demands of findings: all that could be known, and nothing that could not."""

import pytest

from echoaudit.lab.score_contacts import (
    score_attribution,
    score_blocked,
    score_endpoints,
    score_roles,
)

WINDOWS = {"one": ("f-1", 100.0, 200.0), "two": ("f-1", 300.0, 400.0)}
HIDDEN = {"sni": False, "looked_up": False}


def contact(started, host="a.example", address="198.18.1.1", **more):
    usual = {"account": "f-1", "ended": started + 1, "open": False, "http": "2"}
    shown = {"sni": True, "looked_up": True}
    return {"started": started, "host": host, "address": address, **usual, **shown, **more}


def row(session, host="", addresses="198.18.1.1", witness="dns", **more):
    return {"session": session, "host": host, "addresses": addresses, "witness": witness, **more}


def endpoints(found, contacts, decrypted=(), asked=()):
    score = score_endpoints(found, contacts, WINDOWS, decrypted, dict(asked))
    return list(score.wrong), list(score.missed)


def test_a_host_that_hello_or_look_up_names_must_be_named():
    for shown in ({}, {"looked_up": False}, {"sni": False}):
        contacts = [contact(150, **shown)]
        assert endpoints([row("one", "a.example")], contacts) == ([], [])
        assert endpoints([row("one")], contacts) == ([], ["one a.example"])


def test_what_nothing_names_is_right_without_a_name_only():
    contacts = [contact(150, **HIDDEN)]
    assert endpoints([row("one")], contacts) == ([], [])
    guessed = endpoints([row("one", "a.example")], contacts)
    assert guessed == (["one a.example"], ["one 198.18.1.1"])
    assert endpoints([], contacts) == ([], ["one 198.18.1.1"])


@pytest.mark.parametrize("witness", ["probe", "reverse-dns"])
def test_a_witness_that_is_asked_later_may_be_right_and_may_be_wrong(witness):
    contacts = [contact(150, **HIDDEN)]
    assert endpoints([row("one", "a.example", witness=witness)], contacts) == ([], [])
    misled = endpoints([row("one", "b.example", witness=witness)], contacts)
    assert misled == (["one b.example"], ["one 198.18.1.1"])


def test_what_servers_answer_when_they_are_asked_must_be_found():
    contacts = [contact(150, **HIDDEN), contact(350, **HIDDEN)]
    asked = {"one": {"198.18.1.1": "domain.example"}}
    later = {"witness": "probe"}
    right = [row("one", "domain.example", **later), row("two")]
    assert endpoints(right, contacts, asked=asked) == ([], [])
    assert endpoints([row("one"), row("two")], contacts, asked=asked)[1] == ["one domain.example"]
    guessed = [row("one", "domain.example", **later), row("two", "domain.example", **later)]
    assert endpoints(guessed, contacts, asked=asked)[0] == ["two domain.example"], "nobody asked"
    silent = {"one": {"198.18.1.2": "b.example"}, "two": {}}
    assert endpoints([row("one"), row("two")], contacts, asked=silent) == ([], [])
    named = [contact(150)]
    assert endpoints([row("one", "a.example")], named, asked=asked) == ([], [])


def test_an_earlier_look_up_names_later_contacts_of_the_same_account():
    early, late = contact(50, sni=False), contact(350, **HIDDEN)
    assert endpoints([row("two", "a.example")], [early, late]) == ([], [])
    assert endpoints([row("two")], [early, late]) == ([], ["two a.example"])
    for other in ({"account": "f-2"}, {"address": "198.18.1.2"}, {"host": "b.example"}):
        assert endpoints([row("two")], [{**early, **other}, late]) == ([], [])
    assert endpoints([row("two")], [late, contact(390, sni=False)])[1] == ["two a.example"]


def test_a_request_that_was_read_names_its_host():
    contacts = [contact(150, **HIDDEN)]
    assert endpoints([row("one", "a.example")], contacts, ["one"]) == ([], [])
    assert endpoints([row("one")], contacts, ["one"]) == ([], ["one a.example"])
    over_quic = [contact(150, **HIDDEN, http="3")]
    assert endpoints([row("one")], over_quic, ["one"]) == ([], [])


@pytest.mark.parametrize("found", [[], [row("one", "a.example")], [row("one")]])
def test_what_the_log_leaves_open_is_left_out(found):
    for contacts in (
        [contact(199.8)],
        [contact(150, sni=False, open=True, address=None, ended=150)],
    ):
        assert endpoints(found, contacts)[1] == []
    at_the_end = [contact(150, **HIDDEN, ended=199.8)]
    assert endpoints(found, at_the_end, ["one"]) == ([], [])


def test_a_server_that_nobody_contacted_is_invented():
    assert endpoints([row("one", addresses="198.18.9.9")], []) == (["one 198.18.9.9"], [])


def test_refused_names_are_no_endpoints_but_blocked():
    contacts = [contact(150, host="t.example", address="0.0.0.0"), contact(150)]
    assert endpoints([row("one", "a.example")], contacts) == ([], [])
    assert endpoints([row("one", "a.example"), row("one", "t.example")], contacts)[0]
    assert score_blocked([row("one", "t.example")], contacts, WINDOWS).perfect
    assert score_blocked([], contacts, WINDOWS).missed == ("one t.example",)
    assert score_blocked([row("one", "a.example")], contacts, WINDOWS).wrong == ("one a.example",)
    remembered = [{**contacts[0], "looked_up": False}]
    assert score_blocked([], remembered, WINDOWS).perfect


def test_a_role_is_right_or_unknown_where_lists_need_not_know():
    roles = {
        "known.example": {"role": "tracking", "listed": True},
        "new.example": {"role": "functional", "listed": False},
    }

    def score(**said):
        found = [row("one", f"{host}.example", role=role) for host, role in said.items()]
        result = score_roles(found, roles)
        return list(result.wrong), list(result.missed)

    assert score(known="tracking", new="unknown") == ([], [])
    assert score(known="tracking", new="functional") == ([], [])
    assert score(known="unknown") == ([], ["known.example tracking"])
    assert score(new="advertising") == (["new.example advertising"], ["new.example functional"])


def attribution(verdicts, *contacts):
    found = [{"session": "one", "host": host, "verdict": said} for host, said in verdicts.items()]
    return score_attribution(found, contacts, WINDOWS)


def test_a_contact_is_a_skills_where_a_command_caused_it():
    own = contact(150, "own.example", cause="background")
    skill = contact(160, "skill.example", cause="say:B01:0")
    right = attribution({"own.example": "background", "skill.example": "skill"}, own, skill)
    assert (right.found, right.planted, right.right, right.perfect) == (1, 1, 1, True)
    swapped = attribution({"own.example": "skill", "skill.example": "background"}, own, skill)
    assert swapped.wrong == ("one own.example",)
    assert swapped.missed == ("one skill.example",)
    unsure = attribution({"own.example": "uncertain", "skill.example": "uncertain"}, own, skill)
    assert (unsure.perfect, unsure.uncertain, unsure.found) == (True, 2, 0)


def test_a_host_that_the_echo_contacts_by_itself_may_be_called_either_where_a_skill_did():
    shared = contact(150, cause="open:B01")
    for elsewhere in ("background", "provision"):
        quiet = contact(350, cause=elsewhere, account="f-2")
        for verdict in ("skill", "background"):
            assert attribution({"a.example": verdict}, shared, quiet).perfect
    assert attribution({"a.example": "background"}, shared).missed == ("one a.example",)


def test_attribution_is_not_blamed_for_what_endpoints_or_the_clock_got_wrong():
    at_the_end = contact(199.8, cause="open:B01")
    assert attribution({"a.example": "background"}, at_the_end).perfect
    assert attribution({"a.example": "skill"}, at_the_end).perfect
    assert attribution({"other.example": "skill"}, at_the_end).perfect
    assert attribution({}, contact(150, cause="open:B01")).perfect
