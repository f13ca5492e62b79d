"""The page: sections in the order a reader asks, put through the templates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from echoaudit.inference import Conclusion
from echoaudit.report import (
    ads,
    audio_ads,
    bids,
    coverage,
    data_types,
    density,
    endpoints,
    gateway,
    imc2023,
    interests,
    lists,
    shares,
    speech,
    syncs,
    web_contacts,
)
from echoaudit.report.brief import TERMS, brief
from echoaudit.report.method import limits, method, versions
from echoaudit.report.palette import controls_of, palette
from echoaudit.report.parts import Section
from echoaudit.report.stated import StatedStudy, stated
from echoaudit.report.text import clean, count, finalize, listed, moment
from echoaudit.report.verdicts import diagnostics, verdicts

TITLE_LIMIT = 80


def render(
    info: Mapping[str, Any],
    tables: Mapping[str, pd.DataFrame],
    conclusions: Sequence[Conclusion],
    provenance: Mapping[str, Any],
    methods: Sequence[str] = (),
    pictures: Mapping[str, bytes] | None = None,
) -> str:
    """The report as one HTML file without script or anything to fetch.

    ``info`` is the recording's description with its study under ``study``; ``tables`` are those
    of findings; ``methods`` are shown beside the conclusions (``imc2023``);
    ``pictures`` are JPEGs of ads by creative. Equal arguments give equal bytes.
    Everything in them is shown as text, whatever it contains.
    """
    study = stated(info.get("study"))
    numbers = tables["steps"].groupby("persona", sort=True)["account"].nunique()
    accounts = {str(persona): int(number) for persona, number in numbers.items()}
    plain = {
        persona.persona for persona in study.personas if not persona.skills and not persona.browses
    }
    controls = (plain & accounts.keys()) | controls_of(conclusions)
    colours = palette(accounts, controls)
    return (
        environment()
        .get_template("report.html.jinja")
        .render(
            title=_title(study, accounts, conclusions),
            meta=_meta(info, tables, accounts),
            brief=brief(tables, conclusions, accounts),
            terms=TERMS,
            verdicts=verdicts(conclusions),
            notices=coverage.notices(tables, conclusions),
            meters=coverage.meters(tables),
            coverage_tables=[
                t
                for t in (
                    coverage.accounts_table(tables),
                    coverage.losses_table(tables["steps"]),
                    coverage.banners_table(tables["steps"]),
                    gateway.policies_table(tables["captures"]),
                )
                if t is not None
            ],
            sections=_shown(
                _sections(tables, conclusions, accounts, colours, study, methods, pictures or {}),
                tables,
                _is_imported(info),
            ),
            method=method(info, tables, conclusions),
            limits=limits(info, conclusions),
            versions=versions(info, provenance),
            personas=_personas(study, accounts, tables["steps"]),
        )
    )


@cache
def environment() -> Environment:
    """Where templates come from; every value is escaped and cleaned."""
    environment = Environment(
        loader=PackageLoader("echoaudit.report", "templates"),
        autoescape=True,
        finalize=finalize,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["cut"] = clean
    return environment


def _sections(
    tables: Mapping[str, pd.DataFrame],
    conclusions: Sequence[Conclusion],
    accounts: dict[str, int],
    colours: dict[str, str],
    study: StatedStudy,
    methods: Sequence[str],
    pictures: Mapping[str, bytes],
) -> list[Section]:
    skills = {skill.id: skill.name for persona in study.personas for skill in persona.skills}
    return [
        bids.section(tables["bids"], conclusions, colours),
        diagnostics(conclusions),
        *([imc2023.section(tables["imc2023"], conclusions)] if "imc2023" in methods else []),
        speech.section(tables["utterances"], tables["enabling"], skills),
        *_audio_ads(tables),
        endpoints.section(_kept(tables, "endpoints"), accounts, skills),
        shares.section(tables["attribution"], tables["shares"], tables["reach"], accounts, skills),
        data_types.section(_kept(tables, "data_types"), tables["decrypted"], skills),
        syncs.section(
            *(tables[name] for name in ("syncs", "parties", "sync_graph", "partner_bids"))
        ),
        *_web_contacts(tables),
        *_ads(tables, pictures),
        *_interests(tables),
        density.section(tables["endpoints"], tables["captures"]),
    ]


def _web_contacts(tables: Mapping[str, pd.DataFrame]) -> Iterator[Section]:
    """Only where pages were visited."""
    if len(tables["web_contacts"]):
        yield web_contacts.section(tables["web_contacts"], tables["cookies"])


def _ads(tables: Mapping[str, pd.DataFrame], pictures: Mapping[str, bytes]) -> Iterator[Section]:
    """Only where ads were seen."""
    if len(tables["ad_creatives"]):
        yield ads.section(tables["ad_creatives"], tables["ad_channels"], pictures)


def _interests(tables: Mapping[str, pd.DataFrame]) -> Iterator[Section]:
    """Only where the platform was asked."""
    if len(tables["data_requests"]):
        yield interests.section(tables["interests"], tables["data_requests"])


def _audio_ads(tables: Mapping[str, pd.DataFrame]) -> Iterator[Section]:
    """Only where streams were listened to."""
    if len(tables["ad_counts"]):
        yield audio_ads.section(tables["ad_counts"], tables["creatives"], tables["audio_ads"])


def _kept(tables: Mapping[str, pd.DataFrame], name: str) -> pd.DataFrame:
    """A table without the sessions that the study's rules leave out."""
    table = tables[name]
    return table[~table["session"].isin(tables["excluded"]["session"])]


UNPLANNED = {"bids": "bids", "checks": "bids", "speech": "utterances", "shares": "attribution"}
"""Sections that imported evidence gives nothing to, and the table that would tell otherwise."""


def _shown(
    sections: list[Section], tables: Mapping[str, pd.DataFrame], imported: bool
) -> list[Section]:
    """Without what was never meant to be measured, with what installed lists say."""
    kept = [
        section
        for section in sections
        if not (imported and section.id in UNPLANNED and tables[UNPLANNED[section.id]].empty)
    ]
    known = tables.get("listed")
    return [*kept, lists.section(known)] if known is not None and len(known) else kept


def _is_imported(info: Mapping[str, Any]) -> bool:
    config = info.get("config")
    return isinstance(config, Mapping) and "imported" in config


def _title(
    study: StatedStudy, accounts: Mapping[str, int], conclusions: Sequence[Conclusion]
) -> str:
    name = study.study or listed(sorted(accounts) or ["empty study"])
    compared = [c.control.persona for c in conclusions if c.treated.persona == name]
    return clean(f"{name} compared with {compared[0]}" if compared else name, TITLE_LIMIT)


def _meta(
    info: Mapping[str, Any], tables: Mapping[str, pd.DataFrame], accounts: Mapping[str, int]
) -> list[str]:
    started = tables["steps"]["started"].min()
    config = info.get("config")
    name = config.get("config") if isinstance(config, Mapping) else None
    facts = [
        moment(None if pd.isna(started) else float(started)),
        count(len(accounts), "persona"),
        count(sum(accounts.values()), "account"),
    ]
    return [*facts, f"configuration {name}"] if name else facts


def _personas(
    study: StatedStudy, accounts: Mapping[str, int], steps: pd.DataFrame
) -> list[dict[str, str]]:
    planned = steps[steps["kind"] == "session"].groupby("persona")["skill"].nunique()
    return [
        {
            "name": persona.persona,
            "about": (persona.interest or persona.description or "no interest").rstrip("."),
            "accounts": count(accounts.get(persona.persona, 0), "account"),
            "skills": f"topic {persona.browses}"
            if persona.browses
            else _skills(int(planned.get(persona.persona, 0)), len(persona.skills)),
        }
        for persona in study.personas
    ]


def _skills(planned: int, listed: int) -> str:
    if not listed:
        return "no skills"
    return count(planned, "skill") + (f" of {listed} in its catalogue" if planned < listed else "")
