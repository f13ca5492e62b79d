"""Which contacts count for a skill, and the study's table that follows from it."""

import pandas as pd
import pytest

from echoaudit.findings.attribution import ATTRIBUTION, attribution_table
from echoaudit.findings.shares import REACH, SHARES, reach_table, shares_table
from echoaudit.findings.tables import schemas
from echoaudit.report.shares import pivot

KNOWN = {  # host: organisation, party, role
    "api.shoes.example": ("", "vendor", "unknown"),
    "voice.platform.example": ("Platform", "platform", "functional"),
    "metrics.platform.example": ("Platform", "platform", "tracking"),
    "ads.third.example": ("Third", "third", "advertising"),
    "": ("", "unknown", "unknown"),
}


def contact(session, host, flows=1, *, address="198.18.0.1", skill="S1", contacted=True, size=100):
    account = session.split("/")[0]
    idle = session.endswith("idle")
    organisation, party, role = KNOWN[host]
    return {
        "session": session, "account": account, "persona": account.rpartition("-")[0],
        "kind": "idle" if idle else "session", "skill": "" if idle else skill, "host": host,
        "addresses": address, "domain": ".".join(host.split(".")[-2:]),
        "organisation": organisation, "parent": organisation, "hosted_by": "", "party": party,
        "role": role, "contacted": contacted, "flows": flows, "bytes_up": size, "bytes_down": size,
    }  # fmt: skip


def derive(*contacts, idle=600.0, session=60.0, quiet=(), left_out=()):
    """All tables of contacts; ``quiet`` are sessions without any, ``left_out`` by the study."""
    endpoints = pd.DataFrame(contacts)
    names = dict.fromkeys([*endpoints["session"], *quiet])
    captures, steps = [], []
    for name in names:
        kind = "idle" if name.endswith("idle") else "session"
        skills = [c["skill"] for c in contacts if c["session"] == name]
        captures.append(
            {"session": name, "kind": kind, "status": "complete", "first": 1.0, "last": 2.0}
        )
        steps.append(
            {
                "step": name, "kind": kind, "persona": name.split("/")[0].rpartition("-")[0],
                "skill": skills[0] if skills and kind == "session" else None,
                "started": 0.0, "ended": idle if kind == "idle" else session,
            }
        )  # fmt: skip
    steps, captures = pd.DataFrame(steps), pd.DataFrame(captures)
    rest = captures, steps, pd.DataFrame({"session": list(left_out)})
    attribution = attribution_table(endpoints, *rest)
    return attribution, shares_table(attribution), reach_table(attribution, *rest)


def verdicts(*contacts, **named):
    table = derive(*contacts, **named)[0]
    return {row.host or row.address: (row.verdict, row.reason) for row in table.itertuples()}


TALK, IDLE, OTHERS = "fashion-1/sessions/01-x", "fashion-1/sessions/00-idle", "vanilla-1/00-idle"


def test_what_only_a_session_has_is_the_skill_s_and_what_idle_has_is_not():
    found = verdicts(
        contact(TALK, "api.shoes.example"),
        contact(TALK, "metrics.platform.example"),
        contact(TALK, "voice.platform.example"),
        contact(IDLE, "metrics.platform.example", 10),
        contact(OTHERS, "voice.platform.example", 10),
    )
    assert found == {
        "api.shoes.example": ("skill", "not in idle"),
        "metrics.platform.example": ("background", "as in idle"),
        "voice.platform.example": ("background", "as in idle"),
    }


def test_other_accounts_idle_time_counts_too_and_lost_captures_do_not():
    assert verdicts(contact(TALK, "api.shoes.example"), quiet=[IDLE], idle=100.0) == {
        "api.shoes.example": ("uncertain", "too little idle time")
    }
    assert verdicts(contact(TALK, "api.shoes.example"), quiet=[IDLE, OTHERS], idle=100.0) == {
        "api.shoes.example": ("skill", "not in idle")
    }
    assert verdicts(contact(TALK, "api.shoes.example"))["api.shoes.example"][0] == "uncertain"


def test_connections_of_one_host_are_added_up_over_its_addresses():
    table, _, _ = derive(
        contact(TALK, "metrics.platform.example", 2),
        contact(TALK, "metrics.platform.example", 3, address="198.18.0.2"),
        contact(IDLE, "metrics.platform.example", 1),
    )
    (row,) = table.itertuples()
    assert (row.flows, row.bytes, row.idle_flows, row.idle_accounts) == (5, 400, 1, 1)
    assert (row.seconds, row.idle_seconds, row.reason) == (60.0, 600.0, "more than in idle")
    assert 0 < row.p == row.p_holm < 0.05


def test_a_nameless_idle_connection_to_a_host_s_address_is_its_background():
    host = contact(TALK, "api.shoes.example", address="198.18.0.7 198.18.0.8")
    assert verdicts(host, contact(IDLE, "", 9, address="198.18.0.8"))["api.shoes.example"] == (
        "background", "as in idle",
    )  # fmt: skip
    assert verdicts(host, contact(IDLE, "", 9, address="198.18.0.9"))["api.shoes.example"] == (
        "skill", "not in idle",
    )  # fmt: skip


def test_a_server_that_nothing_names_stays_uncertain():
    nameless = contact(TALK, "", address="198.18.0.9")
    assert verdicts(nameless, quiet=[IDLE]) == {"198.18.0.9": ("uncertain", "no name")}


def test_names_that_were_only_looked_up_are_no_contacts():
    table, shares, _ = derive(
        contact(TALK, "ads.third.example", contacted=False), contact(IDLE, "voice.platform.example")
    )
    assert table.empty
    assert shares.empty


def test_a_session_that_the_study_leaves_out_counts_nowhere():
    two = [contact(TALK, "api.shoes.example"), contact("fashion-1/02-y", "api.shoes.example")]
    two[1]["skill"] = "S2"
    table, _, reach = derive(*two, quiet=[IDLE], left_out=[TALK])
    assert set(table["session"]) == {"fashion-1/02-y"}
    assert set(reach["of"]) == {1}


@pytest.fixture
def study():
    """Two personas and skills; an account more does not make a contact count twice."""
    return derive(
        contact(TALK, "api.shoes.example", 2),
        contact("fashion-2/sessions/01-x", "api.shoes.example"),
        contact("fashion-1/sessions/02-y", "api.shoes.example", skill="S2"),
        contact(TALK, "metrics.platform.example", size=1000),
        contact(TALK, ""),
        contact("wine-1/sessions/01-z", "ads.third.example", skill="S3", size=50),
        contact(IDLE, "metrics.platform.example", 10),
    )


def test_contacts_are_counted_as_in_the_study(study):
    _, shares, _ = study
    rows = {(r.party, r.purpose, r.organisation): r for r in pivot(shares, "contacts")}
    vendor = rows["vendor", "unknown", "unknown owner of shoes.example"]
    assert (vendor.values, vendor.total, vendor.share) == ({"fashion": 2, "wine": 0}, 2, 50.0)
    assert rows["platform", "tracking", "all"].values == {"fashion": 1, "wine": 0}
    assert rows["third", "tracking", "Third"].values == {"fashion": 0, "wine": 1}
    assert ("unknown", "unknown", "all") not in rows
    assert sum(row.total for row in rows.values() if row.organisation == "all") == 4


def test_bytes_and_connections_include_servers_without_a_name(study):
    _, shares, _ = study
    octets = {(r.party, r.organisation): r.total for r in pivot(shares, "bytes")}
    assert octets["platform", "Platform"] == 2000
    assert octets["unknown", "no name"] == 200
    flows = {r.organisation: r.values["fashion"] for r in pivot(shares, "flows")}
    assert flows["unknown owner of shoes.example"] == 4


def test_only_attributed_contacts_are_counted_on_demand(study):
    _, shares, reach = study
    rows = {r.organisation: r for r in pivot(shares, "contacts", attributed=True)}
    assert "Platform" not in rows
    assert rows["Third"].share == pytest.approx(33.33)
    told = reach.set_index(["persona", "party"])
    assert told.loc[("fashion", "platform")].tolist() == [1, 0, 2]
    assert told.loc[("fashion", "vendor")].tolist() == [2, 2, 2]
    assert told.loc[("wine", "third")].tolist() == [1, 1, 1]
    assert told.loc[("wine", "vendor")].tolist() == [0, 0, 1]


def test_a_recording_without_sessions_gives_empty_tables():
    attribution, shares, reach = derive(contact(IDLE, "voice.platform.example"))
    assert attribution.equals(ATTRIBUTION.empty())
    assert shares.equals(SHARES.empty())
    assert reach.equals(REACH.empty())
    assert {row.total for row in pivot(shares, "contacts")} == {0}


def test_every_table_is_told_of():
    assert all(schema.name == name and schema.description for name, schema in schemas().items())
