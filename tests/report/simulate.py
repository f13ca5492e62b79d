"""A whole simulated study, as the tables that a recording would give."""

import numpy as np
import pandas as pd

from echoaudit.findings.ads import ad_channels_table, ad_creatives_table
from echoaudit.findings.attribution import attribution_table
from echoaudit.findings.audio_ads import ADS, COUNTS, CREATIVES
from echoaudit.findings.excluded import excluded_table
from echoaudit.findings.imc2023 import imc2023_table
from echoaudit.findings.partner_bids import partners_table
from echoaudit.findings.shares import reach_table, shares_table
from echoaudit.findings.steps import DELIVERY, STEPS, delivery_table
from echoaudit.findings.sync_graph import GRAPH, graph_table
from echoaudit.findings.tables import schemas
from echoaudit.outcomes.ads import TABLE as WEB_ADS
from echoaudit.outcomes.cookies import TABLE as COOKIES
from echoaudit.outcomes.data_requests import TABLE as DATA_REQUESTS
from echoaudit.outcomes.enabling import TABLE as ENABLING
from echoaudit.outcomes.interests import TABLE as INTERESTS
from echoaudit.outcomes.web_contacts import TABLE as WEB_CONTACTS
from echoaudit.study.models import Claim

CLAIM = Claim(claim="fashion-above-vanilla", treated="fashion", control="vanilla")

SKILLS = {"Outfit Check": "B01", "Style Quiz": "B02", "Sneaker Drop": "B03", "Runway Radio": "B04"}
BIDDERS = ("appnexus", "ix", "openx", "pubmatic", "rubicon")
SITES = ("daily-news", "recipes", "sports", "weather")
PLATFORM, REAL = "assistant.example", "amazon-adsystem.com"
START = 1_795_000_000.0
HOSTS = [
    line.split()
    for line in """
    api.assistant.example     assistant.example Platform platform functional  curated  sni
    metrics.assistant.example assistant.example Platform platform tracking    curated  earlier-dns
    cdn.podstats.example      podstats.example  Podstats third    tracking    curated  sni
    ads.tonecast.example      tonecast.example  Tonecast third    advertising easylist quic
    api.runway.example        runway.example    Runway   vendor   functional  curated  dns
    d111.edge.example         edge.example      Edge     third    hosting     curated  sni
    """.strip().splitlines()
] + [["", "", "", "unknown", "unknown", "", "none"]]
PARTNERS = ("appnexus.example", "ix.example", "openx.example", "rubicon.example")
DOWNSTREAM = ("dsp-a.example", "dsp-b.example", "dmp-one.example", "graph.example", "idhub.example")


def people(personas):
    return [(f"{p}-{i + 1}", p) for p, n in personas.items() for i in range(n)]


def study(personas, treated, claims):
    return {
        "study": "fashion",
        "personas": [
            {
                "persona": p,
                "interest": "Fashion & Style" if p in treated else None,
                "description": None if p in treated else "an Echo and an account, nothing said",
                "accounts": n,
                "catalogue": {"skills": [{"id": i, "name": s} for s, i in SKILLS.items()]}
                if p in treated
                else None,
            }
            for p, n in personas.items()
        ],
        "claims": [claim.model_dump(mode="json") for claim in claims],
    }


def bids(rng, personas, lifts, before=2, after=3):
    rows = []
    for account, persona in people(personas):
        level = rng.normal(0, 0.12)
        for phase, rounds in (("before", before), ("after", after)):
            lift = np.log(lifts.get(persona, 1.0)) if phase == "after" else 0.0
            drift = rng.normal(0, 0.05)
            for number in range(1, rounds + 1):
                for s, site in enumerate(SITES):
                    for slot in ("banner", "sidebar"):
                        for b, bidder in enumerate(BIDDERS):
                            draw = rng.random()
                            state = (
                                "no-bid" if draw < 0.3 else "timeout" if draw < 0.33
                                else "error" if draw < 0.34 else "bid" if draw < 0.9 else "rendered"
                            )  # fmt: skip
                            price = None
                            if state in ("bid", "rendered"):
                                price = float(
                                    np.exp(-0.9 + 0.2 * s - 0.15 * b + level + lift + drift
                                           + rng.normal(0, 0.6))
                                )  # fmt: skip
                            rows.append(
                                {
                                    "visit": f"{account}/visits/{phase[0]}{number}-{site}",
                                    "account": account, "persona": persona, "phase": phase,
                                    "round": number, "site": site, "slot": slot, "bidder": bidder,
                                    "server": f"{bidder}.example",
                                    "state": state, "forced": False, "cpm_usd": price,
                                }
                            )  # fmt: skip
    return pd.DataFrame(rows)


def utterances(personas, treated, answered):
    rows = []
    for account, persona in people(personas):
        if persona not in treated:
            continue
        for skill, id_ in SKILLS.items():
            said = [("enable", f"Alexa, enable {skill}"), ("converse", f"Alexa, open {skill}"),
                    ("disable", f"Alexa, disable {skill}")]  # fmt: skip
            for turn, (purpose, text) in enumerate(said):
                session = f"{account}/sessions/{id_}"
                rows.append(
                    {
                        "session": session, "turn": turn, "sentence": f"{session}#{turn + 1}",
                        "account": account, "persona": persona, "skill": id_, "purpose": purpose,
                        "text": text, "attempt": 1, "delivered": answered,
                        "reply": f"welcome to {skill.lower()}" if answered else None,
                        "answered_by": ("skill" if purpose == "converse" else "platform")
                        if answered else "nobody",
                        "answerer": id_ if answered else "",
                        "basis": "words" if answered else "silence",
                        "confidence": "medium" if answered else "high",
                        "confounded": False,
                    }
                )  # fmt: skip
    return pd.DataFrame(
        rows,
        columns=["session", "turn", "sentence", "account", "persona", "skill", "purpose", "text",
                 "attempt",
                 "delivered", "reply", "answered_by", "answerer", "basis", "confidence",
                 "confounded"],
    )  # fmt: skip


def endpoints(rng, personas, treated):
    rows = []
    for account, persona in people(personas):
        sessions = [("idle", "", "00-idle")]
        if persona in treated:
            sessions += [("session", i, i) for i in SKILLS.values()]
        for kind, skill, name in sessions:
            chosen = HOSTS[:2] if kind == "idle" else HOSTS
            for host, domain, organisation, party, role, source, witness in chosen:
                if kind == "session" and party not in ("platform",) and rng.random() < 0.5:
                    continue
                rows.append(
                    {
                        "session": f"{account}/sessions/{name}",
                        "account": account, "persona": persona, "kind": kind, "skill": skill,
                        "host": host, "addresses": "198.51.100.7", "domain": domain,
                        "organisation": organisation, "parent": organisation, "hosted_by": "",
                        "contacted": True,
                        "other_names": "dns:d112.edge.example" if host.startswith("d111") else "",
                        "state": "contacted", "party": party, "role": role, "role_source": source,
                        "witness": witness,
                        "flows": 1, "packets": 40, "bytes_up": int(rng.integers(800, 90_000)),
                        "bytes_down": int(rng.integers(800, 4_000_000)),
                    }
                )  # fmt: skip
    return pd.DataFrame(rows)


def syncs(personas):
    rows = []
    pairs = [(p, "assistant.example") for p in PARTNERS]
    pairs += [(PARTNERS[i % 4], d) for i, d in enumerate(DOWNSTREAM)]
    pairs += [("dsp-a.example", "graph.example")]
    for account, persona in people(personas):
        for n, (source, target) in enumerate(pairs):
            rows.append(
                {
                    "visit": f"{account}/visits/a1-daily-news", "account": account,
                    "persona": persona, "phase": "after", "round": 1, "site": "daily-news",
                    "source": source, "target": target,
                    "identifier": f"sha256:{n:016x}", "encoding": "plain", "place": "query",
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def web_contacts(personas):
    """A page's own host, a third party, and an auction on a server."""
    asked = [("www.news.example", "", False), ("c.amazon-adsystem.com", "", True),
             ("aax.amazon-adsystem.com", "apstag", True)]  # fmt: skip
    return WEB_CONTACTS.conform(
        {
            "visit": f"{account}/visits/a1-daily-news", "account": account, "persona": persona,
            "phase": "after", "round": 1, "site": "daily-news", "host": host, "kind": kind,
            "requests": 2, "first_time": START, "third_party": third,
            "domain": host.partition(".")[2], "organisation": "Amazon" if third else "",
            "role": "advertising" if third else "unknown", "role_source": "",
        }
        for account, persona in people(personas) for host, kind, third in asked
    )  # fmt: skip


def cookies(personas):
    """A third party's, one of an answer and one of a script of its frame."""
    return COOKIES.conform(
        {
            "visit": f"{account}/visits/a1-daily-news", "account": account, "persona": persona,
            "phase": "after", "round": 1, "site": "daily-news", "host": "amazon-adsystem.com",
            "path": "/", "name": name, "value": "0123456789ab", "change": "new",
            "third_party": True, "domain": "amazon-adsystem.com", "organisation": "Amazon",
            "lifetime": lifetime, "http_only": False, "setter": setter,
            "setter_url": "https://c.amazon-adsystem.com/", "initiator": "",
        }
        for account, persona in people(personas)
        for name, setter, lifetime in (("id", "response", 3e7), ("seen", "script", None))
    )  # fmt: skip


def ads(personas, treated):
    """One ad that everybody is shown, and one of each treated persona's own."""
    rows = []
    for account, persona in people(personas):
        shown = [("bank.example", "Save more with a savings account")]
        shown += [("shoes.example", "New fashion every week")] * (persona in treated)
        for index, (advertiser, text) in enumerate(shown):
            rows.append(
                {
                    "visit": f"{account}/visits/a1-daily-news", "index": index,
                    "account": account, "persona": persona, "phase": "after", "round": 1,
                    "site": "daily-news", "channel": "publisher", "kind": "prebid",
                    "slot": "banner", "size": "300x250", "creative": f"{advertiser}-1",
                    "bidder": "ix", "creative_id": "7", "cpm_usd": 0.4, "advertiser": advertiser,
                    "basis": "bid", "landing": f"https://{advertiser}/", "party": "",
                    "vendor_skills": "", "text": text, "image": f"ads/{index:02}.png",
                    "picture_hash": "", "markup_sha256": "ab" * 32,
                }
            )  # fmt: skip
    return WEB_ADS.conform(rows)


def data_requests(personas):
    """Every account was asked about before and after the treatment."""
    return DATA_REQUESTS.conform(
        {
            "request": f"{account}/data-requests/{phase}-1", "account": account,
            "persona": persona, "phase": phase, "requested": START + 86_400 * (phase == "after"),
            "latest": True, "files": 1, "interests": 2, "advertisers": 0, "state": "answered",
        }
        for account, persona in people(personas) for phase in ("before", "after")
    )  # fmt: skip


def interests(requests, treated):
    """Pre-filled interests, and two that treated accounts come to have."""
    return INTERESTS.conform(
        {
            **{c: row[c] for c in ("request", "account", "persona", "phase", "requested")},
            "list": "platform", "interest": interest, "latest": True,
            "file": "Advertising.1/Advertising.AmazonAudiences.csv",
        }
        for row in requests.to_dict("records")
        for interest in ("Books", "Home & Garden",
                         *(("Fashion", "Shoes")
                           if row["phase"] == "after" and row["persona"] in treated else ()))
    )  # fmt: skip


def captures(steps):
    sessions = steps[steps["kind"].isin(["session", "idle"])]
    return pd.DataFrame(
        {
            "session": sessions["step"], "account": sessions["account"], "status": "complete",
            "kind": sessions["kind"],
            "problem": "", "packets": 900, "dropped": 0, "flows": 10, "flows_named": 9,
            "flow_bytes": 1_000_000, "named_bytes": 930_000, "persona": sessions["persona"],
            "first": sessions["started"], "last": sessions["ended"],
            "quic_policy": "drop", "dot_policy": "drop", "doh_policy": "forward",
            "quic_packets": 4 * (sessions["account"] == "fashion-1").astype(int),
            "dot_packets": 0, "doh_packets": 2, "redirected_dns": 0,
        }
    )  # fmt: skip


def decrypted(steps):
    sessions = steps[steps["kind"].isin(["session", "idle"])]
    trusting = sessions["account"].str.startswith("fashion")
    return pd.DataFrame(
        {
            "session": sessions["step"], "account": sessions["account"],
            "persona": sessions["persona"], "kind": sessions["kind"],
            "policy": trusting.map({True: "trusting", False: "pinned"}),
            "status": trusting.map({True: "open", False: "sealed"}),
            "exchanges": 9, "hosts": 3, "refused": 0, "refused_hosts": "", "body_bytes": 90_000,
            "unread": 0, "problem": "",
        }
    )  # fmt: skip


SENT = (
    (0, "voice recording", "body", "multipart", "audio", "plain", "sound"),
    (0, "transcript", "body", "multipart json", "metadata/transcript", "plain", "known"),
    (2, "device id", "url", "query", "uid", "md5", "known"),
    (4, "transcript", "body", "json", "q", "base64", "known"),
)


def data_types(steps):
    rows = []
    for step in steps[steps["kind"] == "session"].to_dict("records"):
        for host, kind, place, form, field, encoding, basis in SENT:
            name, domain, organisation, party, role, _, _ = HOSTS[host]
            rows.append(
                {
                    "session": step["step"], "account": step["account"],
                    "persona": step["persona"], "kind": "session", "skill": step["skill"],
                    "host": name, "address": "198.51.100.7", "domain": domain,
                    "organisation": organisation, "party": party, "role": role,
                    "data_type": kind, "place": place, "form": form, "field": field,
                    "encoding": encoding, "basis": basis, "value": "sha256:0011223344556677",
                    "values": 1, "requests": 2, "first": step["started"],
                }
            )  # fmt: skip
    columns = ["session", "account", "persona", "skill", "host", "address", "domain",
               "organisation", "party", "data_type", "place", "form", "field", "encoding",
               "basis", "value", "requests", "first"]  # fmt: skip
    return pd.DataFrame(rows, columns=None if rows else columns)


def sync_graph(syncs, bids):
    """The graph that it would be, were the made-up platform the real one."""
    there, back = {PLATFORM: REAL}, {REAL: PLATFORM}
    graph = graph_table(syncs.replace(there), bids).replace(back)
    return GRAPH.conform(graph.replace({"Amazon": "Platform"}))


def parties(syncs):
    domains = sorted({*syncs["source"], *syncs["target"]})
    return pd.DataFrame(
        {
            "domain": domains,
            "organisation": ["Platform" if d.startswith("assistant") else "" for d in domains],
            "party": ["platform" if d.startswith("assistant") else "unknown" for d in domains],
        }
    )


def steps(personas, treated, before=2, after=3):
    rows = []
    clock = START
    blank = dict.fromkeys(("skill", "sentences", "service", "phase", "round", "site", "reason"))
    blank |= dict.fromkeys(("seconds_planned", "seconds_heard"))
    blank |= dict.fromkeys(("consent_policy", "consent", "cmp", "consent_s", "ad_tags"))
    for account, persona in people(personas):
        for phase, rounds in (("before", before), ("after", after)):
            for number in range(1, rounds + 1):
                for site in SITES:
                    clock += 3
                    rows.append(
                        {**blank, "step": f"{account}/visits/{phase[0]}{number}-{site}",
                         "kind": "visit", "account": account, "persona": persona, "phase": phase,
                         "round": number, "site": site, "state": "complete", "started": clock,
                         "ended": clock + 2.5}
                    )  # fmt: skip
        sessions = [("00-idle", "idle", None)]
        if persona in treated:
            sessions += [(i, "session", i) for i in SKILLS.values()]
        for name, kind, skill in sessions:
            rows.append(
                {**blank, "step": f"{account}/sessions/{name}", "kind": kind, "account": account,
                 "persona": persona, "skill": skill, "sentences": 3 if skill else None,
                 "state": "complete", "started": clock,
                 "ended": clock + 20}
            )  # fmt: skip
    return STEPS.conform(rows)


def simulate(claims, *, personas=None, lifts=None, answered=True, confounded=0, exclude=(), seed=7):
    """``info``, ``tables`` and ``provenance`` of a study whose treated personas are in claims.

    Of the sentences said to skills, the first ``confounded`` are answered by a skill of the study
    that was not meant.
    """
    rng = np.random.default_rng(seed)
    personas = personas or {"fashion": 3, "vanilla": 6}
    treated = {claim.treated for claim in claims}
    tables = {
        "bids": bids(rng, personas, lifts or {}),
        "utterances": utterances(personas, treated, answered),
        "endpoints": endpoints(rng, personas, treated),
        "syncs": syncs(personas),
        "steps": steps(personas, treated),
    }
    tables |= {schema.name: schema.empty() for schema in (ADS, COUNTS, CREATIVES)}
    tables["captures"] = captures(tables["steps"])
    tables["data_types"] = data_types(tables["steps"])
    tables["decrypted"] = decrypted(tables["steps"])
    tables["enabling"] = ENABLING.empty()
    said = tables["utterances"]
    mixed = said.index[said["purpose"] == "converse"][:confounded]
    said.loc[mixed, "answered_by"] = "other skill"
    said.loc[mixed, "answerer"] = list(SKILLS.values())[-1]
    said.loc[mixed, "confounded"] = True
    tables["web_contacts"] = web_contacts(personas)
    tables["cookies"] = cookies(personas)
    tables["ads"] = ads(personas, treated)
    tables["data_requests"] = data_requests(personas)
    tables["interests"] = interests(tables["data_requests"], treated)
    planned = study(personas, treated, claims)
    tables["ad_creatives"] = ad_creatives_table(tables["ads"], tables["steps"], planned)
    tables["ad_channels"] = ad_channels_table(
        tables["ads"], tables["ad_creatives"], tables["bids"], planned
    )
    tables["excluded"] = excluded_table({"exclude": list(exclude)}, said)
    rest = [tables[name] for name in ("captures", "steps", "excluded")]
    tables["attribution"] = attribution_table(tables["endpoints"], *rest)
    tables["shares"] = shares_table(tables["attribution"])
    tables["reach"] = reach_table(tables["attribution"], *rest)
    tables["parties"] = parties(tables["syncs"])
    tables["sync_graph"] = sync_graph(tables["syncs"], tables["bids"])
    tables["partner_bids"] = partners_table(tables["bids"], tables["sync_graph"])
    tables["imc2023"] = imc2023_table(claims, tables["bids"])
    tables["delivery"] = delivery_table(tables["steps"], tables["utterances"])
    assert list(tables["delivery"].columns) == DELIVERY.names
    info = {
        "format": 1,
        "software": {"name": "echoaudit", "version": "0.1.0"},
        "config": {
            "config": "lab",
            "speaker": {"engine": "flite"},
            "conversation": {"attempts": 2},
            "browser": {"third_party_cookies": "allow"},
        },
        "tools": {"chromium": "156.0", "dumpcap": "4.0.17"},
        "study": study(personas, treated, claims),
    }
    provenance = {
        "analysis": {"name": "echoaudit", "version": "0.1.0"},
        "recording": {
            "format": 1,
            "journal_head": "ab" * 32,
            "sealed": True,
            "study_hash": "cd" * 32,
        },
        "tables": {name: {"rows": len(t), "sha256": "ef" * 32} for name, t in tables.items()},
    }
    return info, tables, provenance


# --- a recording that wants to harm its readers -------------------------------------------------

DECIDED = {
    "account": "fashion-1", "persona": "fashion", "phase": "after", "state": "complete",
    "kind": "session", "purpose": "converse", "party": "third", "status": "complete",
}  # fmt: skip
"""Columns whose values the code decides by, and one for each; all others are free text."""
FILLED = {"int": 1, "float": 1.5, "bool": True}


def poisoned(info, tables, text):
    """The same with ``text`` in every free field of every table that findings can have."""
    # Tables hold Unicode only; a recording's JSON can also hold unpaired surrogates.
    written = text.replace("\ud800", "\ufffd")
    found = {
        name: schema.conform([_row(schema)]) for name, schema in schemas().items()
        if name not in tables or tables[name].empty
    }  # fmt: skip
    everything = {**tables, **found}
    return poisoned_values(info, text), {
        name: poisoned_table(table, written) for name, table in everything.items()
    }


def _row(schema):
    return {
        column.name: FILLED.get(column.dtype, DECIDED.get(column.name, "text"))
        for column in schema.columns
    }


def poisoned_values(value, text):
    """Every string value replaced, keys left."""
    if isinstance(value, dict):
        return {k: poisoned_values(v, text) for k, v in value.items()}
    if isinstance(value, list):
        return [poisoned_values(v, text) for v in value]
    return text if isinstance(value, str) else value


def poisoned_table(table, text):
    """Every free field replaced."""
    free = [
        name for name in table.columns
        if name not in DECIDED and not pd.api.types.is_numeric_dtype(table[name])
        and not pd.api.types.is_bool_dtype(table[name])
    ]  # fmt: skip
    return table.assign(**dict.fromkeys(free, text))
