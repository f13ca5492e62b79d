"""What left decrypted devices: kinds of personal data, where they were found, who received them.

The rules are stated in ``docs/outcomes.md``. Values are never shown, only their tokens.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from echoaudit.outcomes.data_types_known import Known, KnownValues, known_values, sentence
from echoaudit.outcomes.data_types_read import Leaf, Reader
from echoaudit.outcomes.data_types_rules import Told, rules, squeezed
from echoaudit.outcomes.exchanges import REFUSED, Exchange, exchanges
from echoaudit.outcomes.identifiers_decode import hides_more
from echoaudit.outcomes.organisations import directory, party
from echoaudit.outcomes.schema import Column, Schema
from echoaudit.outcomes.sessions import KINDS, vendors
from echoaudit.recording import redact

if TYPE_CHECKING:
    import pandas as pd

    from echoaudit.recording import Recording, StepEvidence

NAME = "data_types"
TABLE = Schema(
    NAME,
    "What left decrypted devices: one row per session, host, kind of data and way it was sent.",
    (
        Column("session", "string", "Step id of the session."),
        Column("account", "string", "Account whose device it was."),
        Column("persona", "string", "Persona of the account."),
        Column("kind", "string", "`session` (around a skill) or `idle` (nothing was said)."),
        Column("skill", "string", "Id of the skill; empty when idle."),
        Column("host", "string", "Host that received it; empty when nothing names it."),
        Column("address", "string", "Server address of the first such request."),
        Column("domain", "string", "Registrable domain of the host (public-suffix list)."),
        Column("organisation", "string", "Owner of the name; empty when unknown."),
        Column("parent", "string", "Company that controls the owner; empty when unknown."),
        Column("hosted_by", "string", "Who runs the shared hosting that the name is on."),
        Column("party", "string", "`platform`, `vendor`, `third` or `unknown`."),
        Column("role", "string", "`functional`, `advertising`, `tracking`, `hosting`, `unknown`."),
        Column(
            "data_type",
            "string",
            "`voice recording`, `transcript`, `customer id`, `skill id`, `device id`, `language`, "
            "`time zone`, `preferences`, `device events`, `location` or `contact data`.",
        ),
        Column("place", "string", "`url`, `header`, `body` or `message` (of a WebSocket, TCP)."),
        Column("form", "string", "What it was taken out of, from outside in: `multipart json`."),
        Column("field", "string", "Names of the fields around it; unusual ones as tokens."),
        Column(
            "encoding",
            "string",
            "`plain`, `url`, `json`, `hex`, `base64`, `base64url`, `jwt`, `md5`, `sha1`, `sha256`.",
        ),
        Column(
            "basis",
            "string",
            "What tells the kind: `known` (the evidence has the value), `seen` (another field "
            "with this value tells), `form` of the value, `sound`, `name` of the field.",
        ),
        Column("value", "string", "Token of the first such value."),
        Column("values", "int", "Different values."),
        Column("requests", "int", "Requests that held it."),
        Column("first", "float", "When the first of them began.", "s since 1970"),
    ),
)
LEARNED = ("customer id", "device id", "contact data")
"""Kinds whose values are looked for elsewhere once a field told them; and transcripts, which are
of the words that the device's cloud understood, not always of those that were said."""
_IDENTIFIERS = ("customer id", "device id", "skill id")
SHORTEST_LEARNED = 10
_USUAL = re.compile(r"[A-Za-z_$.][A-Za-z0-9_.$-]{0,39}|\d{1,5}")
_HAS_DIGIT = re.compile(r"\d")
_MOST_DIGITS = 5
_MOST_NAMES = 12


class Finding(NamedTuple):
    """One kind of data in one value that was sent."""

    type: str
    value: str
    encoding: str
    basis: str


class Way(NamedTuple):
    """What tells rows of one session apart."""

    host: str
    type: str
    place: str
    form: str
    field: str
    encoding: str
    basis: str


@dataclass(frozen=True)
class Knowledge:
    """What is known of an account: by evidence, and by what its own requests told."""

    evidence: KnownValues
    learned: KnownValues

    def findings(self, leaf: Leaf) -> Iterator[Finding]:
        """The kinds of data in a value, each with its strongest basis."""
        if leaf.sound:
            yield Finding("voice recording", leaf.sound.decode("latin-1"), "plain", "sound")
            return
        for found in self._in(leaf):
            yield found._replace(encoding=hides_more(leaf.encoding, found.encoding))

    def _in(self, leaf: Leaf) -> Iterator[Finding]:
        known = self.evidence.search(leaf.text, deep=not leaf.opened)
        told = {each.type for each in known}
        for each, encoding in known.items():
            yield Finding(each.type, each.value, encoding, "known")
        for one in _by_rules(leaf):
            if one.type not in told and not (known and is_known(one, self.evidence)):
                told.add(one.type)
                yield Finding(one.type, bare(one), one.encoding, one.basis)
        for each, encoding in self.learned.search(leaf.text, deep=not leaf.opened).items():
            if each.type not in told:
                yield Finding(each.type, each.value, encoding, "seen")


def is_known(one: Told, evidence: KnownValues) -> bool:
    """Whether a rule only gives another name to a value that the evidence knows."""
    known = evidence.search(one.value)
    if one.basis == "form" or one.type in _IDENTIFIERS:
        return bool(known)
    # A text may hold what was said and, by its name, say where: only a whole value is the same.
    return any(squeezed(each.value) == squeezed(bare(one)) for each in known)


def derive(recording: Recording) -> pd.DataFrame:
    """The data types in the decrypted exchanges of all sessions."""
    steps = [step for step in recording.steps() if step.kind in KINDS]
    evidence = known_values(recording)
    learned = {
        account: _learned([step for step in steps if step.account == account], values)
        for account, values in evidence.items()
    }
    makers = vendors(recording)
    return TABLE.conform(
        row
        for step in steps
        for row in _rows(step, Knowledge(evidence[step.account], learned[step.account]), makers)
    )


def _learned(steps: Iterable[StepEvidence], evidence: KnownValues) -> KnownValues:
    """Identifying values and transcripts that rules find in an account's requests."""
    known = KnownValues()
    for told in {one for step in steps for one in _told(step)}:
        value = bare(told)
        if is_known(told, evidence):
            continue
        if told.type == "transcript":
            known.add_sentence(value)
        elif told.type in LEARNED and len(value) >= SHORTEST_LEARNED and _HAS_DIGIT.search(value):
            known.add(Known(told.type, value))
    return known


def _told(step: StepEvidence) -> Iterator[Told]:
    reader = Reader()
    for exchange in exchanges(step):
        for leaf in reader.leaves(exchange):
            if not leaf.sound:
                yield from _by_rules(leaf)


def _by_rules(leaf: Leaf) -> Iterable[Told]:
    """What rules tell; of an encoding whose content has leaves of its own, by its name alone."""
    return (rules().named if leaf.opened else rules().tell)(leaf.names, leaf.text)


def bare(told: Told) -> str:
    """A value without what is not part of it: a credential's scheme, a sentence's spelling."""
    match told.type:
        case "customer id":
            return told.value.split()[-1]
        case "transcript":
            return sentence(told.value) or told.value
        case _:
            return told.value


def _rows(
    step: StepEvidence, knowledge: Knowledge, makers: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    ways: dict[Way, list[tuple[Exchange, str]]] = defaultdict(list)
    reader = Reader()
    for exchange in exchanges(step):
        if exchange.kind != REFUSED:
            for way, value in _ways(exchange, reader.leaves(exchange), knowledge):
                ways[way].append((exchange, value))
    about = step.json("session.json") if step.has("session.json") else {}
    skill = str(about.get("skill") or "") if isinstance(about, dict) else ""
    for way, found in ways.items():
        yield {**_who(step, skill, way.host, makers), **_what(way, found)}


def _ways(
    exchange: Exchange, leaves: Iterable[Leaf], knowledge: Knowledge
) -> Iterator[tuple[Way, str]]:
    for leaf in leaves:
        for found in knowledge.findings(leaf):
            field = shown(leaf.names, knowledge)
            place = (leaf.place, leaf.form, field, found.encoding, found.basis)
            yield Way(exchange.host, found.type, *place), found.value


def _who(step: StepEvidence, skill: str, host: str, makers: Mapping[str, str]) -> dict[str, Any]:
    found = directory().attribute(host)
    return {
        "session": step.id,
        "account": step.account,
        "persona": step.persona,
        "kind": step.kind,
        "skill": skill,
        "host": host,
        "domain": found.domain,
        "organisation": found.organisation,
        "parent": found.parent,
        "hosted_by": found.hosted_by,
        "party": party(found, makers.get(skill)),
        "role": found.role,
    }


def _what(way: Way, found: list[tuple[Exchange, str]]) -> dict[str, Any]:
    first, value = min(found, key=lambda one: (one[0].time, one[0].server, one[1]))
    return {
        "address": first.server,
        "data_type": way.type,
        "place": way.place,
        "form": way.form,
        "field": way.field,
        "encoding": way.encoding,
        "basis": way.basis,
        "value": redact(value),
        "values": len({each for _, each in found}),
        "requests": len({id(exchange) for exchange, _ in found}),
        "first": first.time,
    }


def shown(names: tuple[str, ...], knowledge: Knowledge) -> str:
    """Names of fields as they may be shown: one that could be somebody's data is a token."""
    return "/".join(_shown(name, knowledge) for name in names[:_MOST_NAMES])


def _shown(name: str, knowledge: Knowledge) -> str:
    digits = sum(char.isdigit() for char in name)
    usual = _USUAL.fullmatch(name) and digits <= _MOST_DIGITS
    if usual and not knowledge.evidence.search(name) and not knowledge.learned.search(name):
        return name
    return redact(name)
