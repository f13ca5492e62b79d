"""How much of what was planned happened, and what a reader must know before believing anything."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import pandas as pd

from echoaudit.inference import Conclusion
from echoaudit.inference.arms import DELIVERED_FLOOR, TOPIC
from echoaudit.inference.scores import BID_STATES, NO_BID_STATES
from echoaudit.report.parts import Column, Meter, Notice, Table
from echoaudit.report.text import NOTHING, count, duration, listed, share, treatment

Tables = Mapping[str, pd.DataFrame]
_HIDDEN = re.compile(r"names hidden by (DNS over \w+): (\d+)")
SILENT = "silent"
"""State of a stream that never played."""
LOSS_FLOOR = 0.5
"""Less than this share of something planned is worth a loud notice."""


def warnings(tables: Tables, conclusions: Sequence[Conclusion]) -> tuple[str, ...]:
    """The loud notices as lines of text, worst first."""
    return tuple(f"{n.title}: {n.text}" for n in notices(tables, conclusions) if n.loud)


def notices(tables: Tables, conclusions: Sequence[Conclusion]) -> list[Notice]:
    """What a reader must not miss, worst first."""
    delivery = tables["delivery"]
    found = [*_silent(delivery), *_unseen(delivery), *_opted_in(delivery)]
    found += _unplayed(tables["steps"])
    found += [*_unfinished(tables["steps"]), *_not_enabled(tables["enabling"])]
    found += [*_turned_away(tables["steps"]), *_banners_left(tables["steps"])]
    found += [*_confounded(tables["utterances"], tables["excluded"])]
    captures = tables["captures"]
    found += [*_dropped(captures), *_partial(captures), *_nameless(captures), *_hidden(captures)]
    if not conclusions:
        found.append(Notice("No claim", "The study states no claim, so nothing is concluded."))
    return found


def _silent(delivery: pd.DataFrame) -> list[Notice]:
    found = []
    spoken = delivery[delivery["utterances_said"] > 0]
    for persona, own in spoken.groupby("persona", sort=True):
        said, heard = own["utterances_said"].sum(), own["utterances_delivered"].sum()
        never = own[own["utterances_delivered"] == 0]
        if len(never):
            who = listed([str(account) for account in never["account"]])
            refused = bool(never["utterances_refused"].any())
            did = "only refused" if refused else "never woke"
            title = (
                f"The Echos of {persona} {did}"
                if len(never) == len(own)
                else f"{count(len(never), 'Echo')} of {persona} {did}"
            )
            text = f"Nothing that was said to {who} was answered" + ", but for refusals" * refused
            found.append(Notice(title, text + "."))
        elif heard < DELIVERED_FLOOR * said:
            text = f"Only {heard} of {said} sentences said to {persona} were answered."
            found.append(Notice("Most sentences were lost", text))
    return found


def _not_enabled(enabling: pd.DataFrame) -> list[Notice]:
    """Sessions whose skill the store did not enable."""
    last = enabling.sort_values("attempt").groupby(["session", "action"], as_index=False).last()
    failed = last[(last["action"] == "enable") & ~last["done"].fillna(False).astype(bool)]
    if failed.empty:
        return []
    states = [f"{n} {state}" for state, n in failed["state"].value_counts().sort_index().items()]
    text = (
        f"The store did not enable the skill in {count(len(failed), 'session')} "
        f"({listed(states, 8)}). What was said there counts as delivered only where the skill is "
        "known to have answered."
    )
    return [Notice("Skills were not enabled", text)]


def _unseen(delivery: pd.DataFrame) -> list[Notice]:
    """Personas whose treatment is to visit a topic, and that did not."""
    found = []
    browsing = delivery[delivery["topic_visits_planned"] > 0]
    for persona, own in browsing.groupby("persona", sort=True):
        whole, part = own["topic_visits_planned"].sum(), own["topic_visits_complete"].sum()
        if part < DELIVERED_FLOOR * whole:
            text = f"Only {part} of {whole} visits of {persona} to its topic are complete."
            found.append(Notice("Most visits to a topic were lost", text))
    return found


def _opted_in(delivery: pd.DataFrame) -> list[Notice]:
    """Accounts that were to opt out and did not: what is said of their persona is not of them."""
    still = delivery[delivery["opt_outs_complete"] < delivery["opt_outs_planned"]]
    if still.empty:
        return []
    who = listed([str(account) for account in still["account"]])
    did = "has" if len(still) == 1 else "have"
    return [Notice("Not opted out", f"{who} {did} not opted out, though planned.")]


def _confounded(utterances: pd.DataFrame, excluded: pd.DataFrame) -> list[Notice]:
    """Sentences that another skill answered, and what became of their sessions."""
    mixed = utterances[utterances["confounded"].fillna(False).astype(bool)]
    if mixed.empty:
        return []
    sessions = count(mixed["session"].nunique(), "session")
    answered = count(len(mixed), "sentence")
    what = (
        f"{count(len(excluded), 'session')} left out where contacts and data are told apart by "
        "skill, as the study’s rule says."
        if len(excluded)
        else "They are counted with the skill that was meant: no rule (exclude) leaves them out."
    )
    text = f"{answered} in {sessions} answered by another skill than the one meant. {what}"
    return [Notice("Another skill answered", text)]


def _unplayed(steps: pd.DataFrame) -> list[Notice]:
    """Services that never played to a persona, or hardly."""
    found = []
    streams = steps[(steps["kind"] == "stream") & (steps["state"] != "missing")]
    for persona, own in streams.groupby("persona", sort=True):
        silent = own[own["state"] == SILENT]
        meant, heard = float(own["seconds_planned"].sum()), float(own["seconds_heard"].sum())
        if len(silent):
            services = listed(sorted(set(silent["service"].dropna().astype(str))), 5)
            text = (
                f"{len(silent)} of {count(len(own), 'part')} of streams to {persona} never played "
                f"({services}): that no ads were heard there says nothing."
            )
            found.append(Notice("Streams never played", text))
        elif heard < DELIVERED_FLOOR * meant:
            text = (
                f"{persona} heard {duration(heard)} of {duration(meant)} of streams as planned: "
                "there was less time for ads."
            )
            found.append(Notice("Streams ended early", text))
    return found


def _unfinished(steps: pd.DataFrame) -> list[Notice]:
    missing = int((steps["state"] == "missing").sum())
    if not missing:
        return []
    return [
        Notice(
            "The recording is not finished",
            f"{count(missing, 'step')} of {len(steps):,} did not happen (yet); "
            "the same command resumes.",
        )
    ]


TURNED_AWAY = {
    "challenge": "met a challenge",
    "paywall": "met a paywall",
    "empty": "got an empty answer",
    "blocked": "were blocked",
    "robots": "were left out by robots.txt",
}
"""What visits met instead of the page, by their state."""


def _turned_away(steps: pd.DataFrame) -> list[Notice]:
    """Visits that saw another page than the one they asked for."""
    visits = steps[steps["kind"] == "visit"]
    away = visits[visits["state"].isin(TURNED_AWAY)]
    if away.empty:
        return []
    numbers = away["state"].value_counts()
    met = [f"{numbers[state]:,} {what}" for state, what in TURNED_AWAY.items() if state in numbers]
    text = (
        f"Of {count(len(visits), 'visit')}, {listed(met, 8)}. That they saw no bids says nothing "
        "of any bidder: they are left out of the share of answers that are bids."
    )
    return [Notice("Sites turned the browser away", text)]


def _banners_left(steps: pd.DataFrame) -> list[Notice]:
    """Consent banners that should have been answered, and were not."""
    failed = steps[steps["consent"] == "failed"]
    if failed.empty:
        return []
    sites = listed(sorted(set(failed["site"].dropna().astype(str))), 5)
    text = (
        f"In {count(len(failed), 'visit')} ({sites}) the consent banner was not answered as the "
        "study says. What such a page withholds until then was not seen."
    )
    return [Notice("Consent banners stayed", text)]


def banners_table(steps: pd.DataFrame) -> Table | None:
    """What became of consent banners, by policy and consent manager; ``None`` when none was met."""
    met = steps[steps["consent"].isin(("done", "failed")) | steps["cmp"].fillna("").ne("")]
    if met.empty:
        return None
    known = met.assign(cmp=met["cmp"].fillna("").replace("", NOTHING))
    rows = tuple(
        (
            str(policy),
            str(cmp),
            BANNER_STATES.get(str(state), str(state)),
            f"{len(own):,}",
            f"{own['site'].nunique():,}",
            f"{own['consent_s'].median():.1f} s" if own["consent_s"].notna().any() else NOTHING,
        )
        for (policy, cmp, state), own in known.groupby(
            ["consent_policy", "cmp", "consent"], sort=True
        )
    )
    return Table(
        "Consent banners",
        (
            Column("policy"),
            Column("consent manager"),
            Column("became of it"),
            Column("visits", numeric=True),
            Column("sites", numeric=True),
            Column("median time", numeric=True),
        ),
        rows,
    )


BANNER_STATES = {
    "done": "answered",
    "failed": "not answered",
    "none": "no banner shown",
    "ignored": "left standing",
}


def _dropped(captures: pd.DataFrame) -> list[Notice]:
    lost = int(captures["dropped"].sum())
    if not lost:
        return []
    sessions = count(int((captures["dropped"] > 0).sum()), "session")
    text = f"The capture lost {count(lost, 'packet')} in {sessions}: contacts may be missing."
    return [Notice("Packets were lost", text)]


def _partial(captures: pd.DataFrame) -> list[Notice]:
    bad = captures[(captures["status"] != "complete") & (captures["dropped"] == 0)]
    if bad.empty:
        return []
    problems = sorted({str(p) for p in bad["problem"].dropna() if str(p)})
    text = f"{count(len(bad), 'session')}: {listed(problems or ['unknown problem'], 3)}."
    return [Notice("Some captures could not be read whole", text)]


def _nameless(captures: pd.DataFrame) -> list[Notice]:
    named, whole = int(captures["named_bytes"].sum()), int(captures["flow_bytes"].sum())
    if whole and named < LOSS_FLOOR * whole:
        text = f"Only {share(named, whole)} of the bytes belong to connections whose host is named."
        return [Notice("Most traffic is nameless", text)]
    return []


def _hidden(captures: pd.DataFrame) -> list[Notice]:
    """Look-ups that went through and that nobody could read."""
    ways: dict[str, int] = {}
    sessions = 0
    for problem in captures["problem"].dropna():
        found = _HIDDEN.findall(str(problem))
        sessions += bool(found)
        for way, number in found:
            ways[way] = ways.get(way, 0) + int(number)
    if not ways:
        return []
    seen = listed([f"{number:,} by {way}" for way, number in sorted(ways.items())])
    text = (
        f"Connections that asked for names out of sight, in {count(sessions, 'session')}: {seen}. "
        "Hosts looked up there have a name only where their own connections give it."
    )
    return [Notice("Look-ups were hidden", text, loud=False)]


def meters(tables: Tables) -> list[Meter]:
    """Shares of what was planned, in the order of the study."""
    steps, delivery, bids = tables["steps"], tables["delivery"], tables["bids"]
    visits = steps[(steps["kind"] == "visit") & (steps["phase"] != TOPIC)]
    captures = tables["captures"]
    whole = int((captures["status"] == "complete").sum())
    flows, named = int(captures["flows"].sum()), int(captures["flows_named"].sum())
    by_bytes = share(float(captures["named_bytes"].sum()), float(captures["flow_bytes"].sum()))
    said = int(delivery["utterances_planned"].sum())
    heard = int(delivery["utterances_delivered"].sum())
    complete = int((visits["state"] == "complete").sum())
    offered = bids[bids["state"].isin(BID_STATES) & (bids["phase"] != TOPIC)]
    with_bids = offered["visit"].nunique()
    answered = int(bids["state"].isin(BID_STATES | NO_BID_STATES).sum())
    packets = int(captures["packets"].sum())
    finished = int((steps["state"] != "missing").sum())
    return [
        _meter("steps finished", finished, len(steps), _span(steps)),
        _meter("sentences delivered", heard, said, _undelivered(delivery)),
        *_planned_only(delivery, "topic_visits", "topic visits complete", "a treatment"),
        *_streams(steps),
        *_planned_only(delivery, "opt_outs", "accounts opted out", "of those that were to"),
        _meter("captures whole", whole, len(captures), f"{packets:,} packets"),
        Meter(
            "connections named", named, flows, f"{by_bytes} of bytes", named >= LOSS_FLOOR * flows
        ),
        _meter("visits complete", complete, len(visits), "page loads"),
        Meter("visits with bids", with_bids, complete, "of the complete ones"),
        _meter("bid requests answered", answered, len(bids), _losses(bids)),
    ]


def _planned_only(delivery: pd.DataFrame, kind: str, label: str, note: str) -> list[Meter]:
    """A meter of what most studies do not plan."""
    whole = int(delivery[f"{kind}_planned"].sum())
    return [_meter(label, int(delivery[f"{kind}_complete"].sum()), whole, note)] if whole else []


def _streams(steps: pd.DataFrame) -> list[Meter]:
    """A meter of minutes of streams, where any are planned."""
    own = steps[steps["kind"] == "stream"]
    meant = own["seconds_planned"].sum() / 60
    if not meant:
        return []
    silent = int((own["state"] == SILENT).sum())
    note = f"{count(silent, 'part')} never played" if silent else "louder than the room"
    return [
        _meter(
            "minutes of streams heard", round(own["seconds_heard"].sum() / 60), round(meant), note
        )
    ]


def _undelivered(delivery: pd.DataFrame) -> str:
    columns = {
        "refused": "utterances_refused",
        "answered by another skill": "utterances_confounded",
    }
    counts = {what: int(delivery[column].sum()) for what, column in columns.items()}
    return ", ".join(f"{n:,} {what}" for what, n in counts.items() if n) or "answered aloud"


def _meter(label: str, part: int, whole: int, note: str) -> Meter:
    return Meter(label, part, whole, note, good=part >= 0.9 * whole)


def _span(steps: pd.DataFrame) -> str:
    begin, end = steps["started"].min(), steps["ended"].max()
    return f"in {duration(float(end - begin))}" if pd.notna(begin) and pd.notna(end) else ""


def _losses(bids: pd.DataFrame) -> str:
    lost = bids.loc[~bids["state"].isin(BID_STATES | NO_BID_STATES), "state"].value_counts()
    return ", ".join(f"{number:,} {state}" for state, number in sorted(lost.items())) or "none lost"


def accounts_table(tables: Tables) -> Table:
    """Per account: what was planned and what became of it."""
    steps, bids = tables["steps"], tables["bids"]
    offered = bids[bids["state"].isin(BID_STATES) & (bids["phase"] != TOPIC)]
    with_bids = offered.groupby("account")["visit"].nunique()
    finished = steps[steps["state"] != "missing"].groupby("account")["step"].count()
    rows = [
        (
            str(row["account"]),
            str(row["persona"]),
            _of(finished.get(row["account"], 0), int((steps["account"] == row["account"]).sum())),
            treatment(
                (row["utterances_delivered"], row["utterances_planned"]),
                (row["topic_visits_complete"], row["topic_visits_planned"]),
                (row["opt_outs_complete"], row["opt_outs_planned"]),
            ),
            _of(row["visits_complete"], row["visits_planned"]),
            f"{with_bids.get(row['account'], 0):,}",
        )
        for row in tables["delivery"].sort_values(["persona", "account"]).to_dict("records")
    ]
    return Table(
        "What each account did",
        (
            Column("account"),
            Column("persona"),
            Column("steps finished", numeric=True),
            Column("treatment delivered"),
            Column("visits complete", numeric=True),
            Column("visits with bids", numeric=True),
        ),
        tuple(rows),
    )


def _of(part: int, whole: int) -> str:
    return f"{part} / {whole}" if whole else NOTHING


def losses_table(steps: pd.DataFrame) -> Table | None:
    """Steps that did not end as planned, by reason; ``None`` when all did."""
    lost = steps[steps["state"] != "complete"]
    if lost.empty:
        return None
    reasons = lost.assign(reason=lost["reason"].fillna(NOTHING)).groupby(
        ["kind", "state", "reason"], sort=True
    )["account"]
    rows = tuple(
        (str(kind), str(state), str(reason), f"{len(who):,}", f"{who.nunique():,}")
        for (kind, state, reason), who in reasons
    )
    return Table(
        "Steps that did not end as planned",
        (
            Column("step"),
            Column("state"),
            Column("reason"),
            Column("steps", numeric=True),
            Column("accounts", numeric=True),
        ),
        rows,
    )
