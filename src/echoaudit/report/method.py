"""What was done, in words that can go into a paper, and what it cannot show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from echoaudit.inference import Conclusion
from echoaudit.inference.arms import TOPIC
from echoaudit.inference.sentence import THINGS
from echoaudit.report.analysis import analysis
from echoaudit.report.text import count, listed, moment

Tables = Mapping[str, pd.DataFrame]


def method(info: Mapping[str, Any], tables: Tables, conclusions: Sequence[Conclusion]) -> list[str]:
    """Paragraphs on design, treatment, measurement and analysis, from what was recorded."""
    imported = _part(_part(info, "config"), "imported")
    if imported:
        return [_imported(imported, tables["steps"]), *analysis(conclusions)]
    found = [_design(tables["steps"]), _speech(info, tables), _web(info, tables)]
    return [*found, *analysis(conclusions)]


def _design(steps: pd.DataFrame) -> str:
    accounts = steps.groupby("persona", sort=True)["account"].nunique()
    personas = listed([f"{persona} ({count(n, 'account')})" for persona, n in accounts.items()], 12)
    rounds = steps[(steps["kind"] == "visit") & (steps["phase"] != TOPIC)]
    numbers = rounds.groupby("phase")["round"].nunique()
    before, after = int(numbers.get("before", 0)), int(numbers.get("after", 0))
    times = (
        f"between {moment(float(steps['started'].min()))} and {moment(float(steps['ended'].max()))}"
        if steps["started"].notna().any()
        else "at no time"
    )
    return (
        f"The study ran {count(len(accounts), 'persona')}, {personas}, {times}. Each account had "
        "a browser profile of its own and, unless its persona goes without, a platform account "
        f"and a smart speaker. Its browser visited {count(rounds['site'].nunique(), 'site')} in "
        f"{count(before, 'round')} before the treatment and in {count(after, 'round')} "
        "afterwards; within a round, accounts of all personas were interleaved."
        + _other_treatments(steps)
    )


def _other_treatments(steps: pd.DataFrame) -> str:
    """Browsing a topic and opting out, where the study has them."""
    topic, opt_outs = steps[steps["phase"] == TOPIC], steps[steps["kind"] == "opt-out"]
    found = ""
    if len(topic):
        who = listed(sorted(set(topic["persona"].astype(str))), 12)
        found += (
            f" The treatment of {who} was to visit {count(topic['site'].nunique(), 'site')} of a "
            "topic between those rounds; bids there are not compared."
        )
    if len(opt_outs):
        who = listed(sorted(set(opt_outs["persona"].astype(str))), 12)
        found += f" Accounts of {who} opted out of interest-based advertising before all else."
    return found


def _imported(imported: Mapping[str, Any], steps: pd.DataFrame) -> str:
    stated = imported.get("sources")
    sources = [s for s in stated if isinstance(s, Mapping)] if isinstance(stated, list) else []
    each = dict.fromkeys(
        f"{source.get('name')} ({source.get('format')}, SHA-256 {source.get('sha256')})"
        for source in sources
    )
    return (
        "Nothing was spoken or visited for this recording: it holds evidence that others "
        f"gathered, imported from {listed(list(each), 12)}. It is said to be of "
        f"{count(steps['account'].nunique(), 'account')} in {count(len(steps), 'step')}. How it "
        "was gathered, and whether it is whole, is not known beyond what the sources say."
    )


ENABLING = {
    "browser": "Each skill was enabled before its conversation and disabled after it in the "
    "platform’s store, by the account’s own browser. ",
    "none": "Skills were neither enabled nor disabled. ",
}
"""What is said of ``conversation.enable``; by voice it is a sentence as others are."""


def _speech(info: Mapping[str, Any], tables: Tables) -> str:
    config = _part(info, "config")
    speaker, talk = _part(config, "speaker"), _part(config, "conversation")
    delivery, steps = tables["delivery"], tables["steps"]
    skills = steps.loc[steps["kind"] == "session", "skill"].nunique()
    said = int(delivery["utterances_said"].sum())
    heard = int(delivery["utterances_delivered"].sum())
    return (
        f"Personas with skills used {count(skills, 'skill')} by voice: "
        f"{count(said, 'sentence')}, synthesised by {speaker.get('engine', 'an unnamed engine')}, "
        f"were played aloud and said up to {talk.get('attempts', 1)} times; {heard} were answered "
        "aloud. A sentence counts as delivered when the speaker answered it. "
        + ENABLING.get(str(talk.get("enable")), "")
        + "All traffic of each speaker was captured at its gateway, per session."
    )


def _web(info: Mapping[str, Any], tables: Tables) -> str:
    browser = _part(_part(info, "config"), "browser")
    cookies = browser.get("third_party_cookies", "as configured")
    bids = tables["bids"]
    forced = int(bids["forced"].fillna(False).sum()) if "forced" in bids else 0
    return (
        f"Bids were read from the header-bidding library inside each page ({len(bids):,} requests "
        f"to bidders, {forced:,} of them in auctions that the visit itself had to start). "
        f"Third-party cookies: {cookies}. {_banners(browser, tables['steps'])}Identifiers of one "
        "party in requests to another are shown as tokens."
    )


def _banners(browser: Mapping[str, Any], steps: pd.DataFrame) -> str:
    """What was answered to consent banners; nothing where a recording does not tell."""
    policy = browser.get("consent")
    if policy == "ignore":
        stood = int((steps["consent"].eq("ignored") & steps["cmp"].fillna("").ne("")).sum())
        known = f"; the rules of autoconsent knew one in {stood:,} visits" if stood else ""
        return f"Consent banners were left standing{known}. "
    if policy not in ("accept", "reject"):
        return ""
    done = int((steps["consent"] == "done").sum())
    failed = int((steps["consent"] == "failed").sum())
    stayed = f", {failed:,} could not be" if failed else ""
    return (
        f"Consent banners were {policy}ed by the rules of autoconsent: {done:,} were answered"
        f"{stayed}. "
    )


def limits(info: Mapping[str, Any], conclusions: Sequence[Conclusion]) -> list[str]:
    """What a reader must not conclude."""
    found = [
        f"A supported claim says that {_what(conclusions)} and that chance is an "
        "unlikely cause. It does not say why: the path from the speaker to a bid or an ad runs "
        "through servers that nobody outside can see.",
        "Who contacts whom is seen from outside: names come from TLS, QUIC and DNS, and "
        "encrypted content was not read unless a device trusted the gateway.",
        "“Listed by” names the list that calls a host advertising or tracking. Hosts on no list "
        "are unknown, not harmless.",
        "Identifiers that parties exchange between their servers are invisible here.",
        "The recording’s hashes show that it has not changed since it was sealed. They do not "
        "show that a site sent what was recorded, or that nobody staged the room.",
    ]
    if any(c.state == "not supported" for c in conclusions):
        found.insert(
            1,
            "“Not supported” is not “no difference”: an effect below the detectable one may have "
            "been missed.",
        )
    return found


def _what(conclusions: Sequence[Conclusion]) -> str:
    """What a supported claim of these is about; one of equivalence says the contrary."""
    outcomes = dict.fromkeys(c.outcome for c in conclusions)
    things = [THINGS.get(outcome, outcome) for outcome in outcomes] or ["what was compared"]
    alike = any(c.direction == "equivalent" for c in conclusions)
    return f"{listed(things, 12)} of these accounts differ{' (or are alike)' * alike}"


def versions(info: Mapping[str, Any], provenance: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Names and values of everything that identifies this report."""
    recording, analysis = _part(provenance, "recording"), _part(provenance, "analysis")
    rows = [
        ("analysis", f"{analysis.get('name')} {analysis.get('version')}"),
        ("recorded by", " ".join(str(v) for v in _part(info, "software").values())),
        ("recording format", str(recording.get("format"))),
        ("study (SHA-256)", str(recording.get("study_hash"))),
        ("journal head (SHA-256)", str(recording.get("journal_head"))),
        ("sealed", "yes" if recording.get("sealed") else "no: more may be recorded"),
    ]
    if recording.get("amended"):
        rows.append(("evidence added after a seal", f"{recording['amended']} times"))
    rows += [
        (f"table {name} (SHA-256 of its rows)", str(table["sha256"]))
        for name, table in sorted(_part(provenance, "tables").items())
    ]
    stated = provenance.get("lists")
    lists = [one for one in stated if isinstance(one, Mapping)] if isinstance(stated, list) else []
    rows += [(f"list {_list_name(one)} (SHA-256)", str(one.get("sha256"))) for one in lists]
    rows += [(str(k), str(v)) for k, v in sorted(_part(info, "tools").items())]
    return rows


def _list_name(one: Mapping[str, Any]) -> str:
    told = [f"version {one['version']}"] if one.get("version") else []
    told += [f"licence {one['licence']}"] if one.get("licence") else []
    return ", ".join([str(one.get("name")), *told])


def _part(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A mapping inside a mapping; empty when it is absent or something else."""
    found = values.get(name)
    return found if isinstance(found, Mapping) else {}
