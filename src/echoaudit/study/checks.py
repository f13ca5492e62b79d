"""What a schema cannot say: values that must differ, or that name one another."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator

from echoaudit.study.faults import shown, suggestion
from echoaudit.study.models import (
    DIRECTIONS,
    MEASURES,
    PLAY,
    Catalogue,
    Claim,
    Config,
    Persona,
    Site,
    Stream,
    Study,
)
from echoaudit.study.typed import Place, Problem


def check_persona(persona: Persona) -> Iterator[Problem]:
    """A persona is not its own control, and has what is done with it."""
    if persona.control == persona.persona:
        found = f"{shown(persona.control)} as its own control"
        yield Problem(("control",), found, "another persona", "control: vanilla")
    if persona.skills is not None and persona.browses is not None:
        found = "a topic beside skills: one treatment could not be told from the other"
        yield Problem(("browses",), found, "skills or browses", "browses: health")
    if persona.skills is not None and not persona.speaks:
        found = "skills without a speaker"
        yield Problem(("skills",), found, "skills with echo and account", "echo: true")
    if not persona.account and "echo" in persona.model_fields_set and persona.echo:
        found = "a speaker without an account"
        yield Problem(("echo",), found, "a speaker with an account", "account: true")
    if not persona.account and persona.opt_out:
        found = "an account's choice without an account"
        yield Problem(("opt_out",), found, "opt_out with an account", "account: true")
    yield from _streams(persona.streams or ())


def check_catalogue(catalogue: Catalogue) -> Iterator[Problem]:
    """Skill ids name one skill each; stores have invocation names that several skills share."""
    ids = [(("skills", index, "id"), skill.id) for index, skill in enumerate(catalogue.skills)]
    yield from _differ(ids, "skill id", "id: B01LPS96B4")


def check_study(study: Study) -> Iterator[Problem]:
    """Sites have names of their own, claims make sense."""
    yield from _sites(study.sites, ("sites",))
    yield from check_stated(study.claims)
    yield from check_testable(study.claims)


def check_stated(claims: Iterable[Claim]) -> Iterator[Problem]:
    """Claims have names of their own, compare two personas by a measure that their outcome has,
    and agree with the rest of their family on the correction and its level.
    """
    listed = list(enumerate(claims))
    names = [(("claims", index, "claim"), claim.claim) for index, claim in listed]
    yield from _differ(names, "claim", "claim: fashion-above-vanilla")
    families: dict[tuple[str, bool], Claim] = {}
    for index, claim in listed:
        yield from _claim(("claims", index), claim)
        first = families.setdefault((claim.family, claim.exploratory), claim)
        for key in ("correction", "alpha"):
            agreed, found = getattr(first, key), getattr(claim, key)
            if found != agreed:
                yield Problem(
                    ("claims", index, key),
                    f"{key} {found} in family {shown(claim.family)}, where {first.claim} has "
                    f"{agreed}",
                    "one correction and one alpha in a family",
                    f"{key}: {agreed}",
                )


def check_testable(claims: Iterable[Claim]) -> Iterator[Problem]:
    """What new claims may not say, though claims in old recordings may: they are read still."""
    for index, claim in enumerate(claims):
        if claim.direction == "equivalent" and claim.measure == "count":
            found = "direction equivalent of measure count, for which there is no test"
            yield Problem(
                ("claims", index, "direction"), found, "higher, lower, different",
                "direction: different",
            )  # fmt: skip


def _claim(place: Place, claim: Claim) -> Iterator[Problem]:
    if claim.treated == claim.control:
        found = f"{shown(claim.control)} compared with itself"
        yield Problem((*place, "control"), found, "another persona", "control: vanilla")
    measures = MEASURES[claim.outcome]
    if claim.measure not in measures:
        found = f"measure {claim.measure} of {claim.outcome}"
        yield Problem((*place, "measure"), found, ", ".join(measures), f"measure: {measures[0]}")
        return
    ratios = claim.outcome == "bids" or claim.measure == "count"
    usual = ("higher", "lower", "different", *(("equivalent",) if ratios else ()))
    directions = DIRECTIONS.get(claim.measure, usual)
    if claim.direction not in directions:
        found = f"direction {claim.direction} of measure {claim.measure}"
        example = f"direction: {directions[0]}"
        yield Problem((*place, "direction"), found, ", ".join(directions), example)
    if claim.item is not None and claim.measure != "accounts":
        found = f"an item for measure {claim.measure}"
        yield Problem((*place, "item"), found, "item with measure accounts", "measure: accounts")


def check_claims(claims: Iterable[Claim], personas: list[str]) -> Iterator[Problem]:
    """Every persona that a claim names takes part."""
    for index, claim in enumerate(claims):
        for role, name in (("treated", claim.treated), ("control", claim.control)):
            if name not in personas:
                found = f"unknown persona {shown(name)}{suggestion(name, personas)}"
                example = f"{role}: {personas[0]}"
                yield Problem(("claims", index, role), found, ", ".join(personas), example)


def check_config(config: Config) -> Iterator[Problem]:
    """Sites and devices are each given once, addresses are addresses, trusting devices exist."""
    yield from _sites(config.sites, ("sites",))
    for topic, sites in config.topics.items():
        yield from _sites(sites, ("topics", topic))
    macs = [(("devices", name, "mac"), device.mac) for name, device in config.devices.items()]
    yield from _differ(macs, "device address", "mac: fc:65:de:00:00:02")
    yield from _streams(config.streams)
    yield from _network(config.gateway.address)
    for index, resolver in enumerate(config.gateway.dns):
        yield from _resolver(resolver, ("gateway", "dns", index))
    if config.lab is not None and config.lab.room.snr_db is not None and config.lab.room.noise:
        found = f"{config.lab.room.snr_db} besides noise: {config.lab.room.noise}"
        yield Problem(("lab", "room", "snr_db"), found, "one of noise and snr_db", "snr_db: 15")
    if config.gateway.remote is not None:
        yield from _remote(config)
    if config.lab is None:
        # The lab gives every account a device; which accounts there are is for the study to say.
        yield from _trusting(config)


def _remote(config: Config) -> Iterator[Problem]:
    """Another machine's gateway is recorded from outside; none of it is set up or decrypted."""
    place, example = ("gateway", "remote"), "remote: {ssh: pi@gateway.local, interface: wlan0}"
    if config.lab is not None:
        yield Problem(place, "a remote gateway for the lab", "the lab's own gateway", "remove it")
    gateway = config.gateway
    if gateway.trusting or gateway.policy == "trusting":
        found = "a trusting device behind a remote gateway"
        yield Problem(place, found, "pinned devices, which nobody decrypts", example)
    if gateway.block:
        found = "block lists for a remote gateway"
        yield Problem(place, found, "block lists of that machine's own", example)


def _trusting(config: Config) -> Iterator[Problem]:
    devices = list(config.devices)
    for index, account in enumerate(config.gateway.trusting):
        if account not in devices:
            found = f"account {shown(account)} has no device{suggestion(account, devices)}"
            allowed = f"accounts under devices: {', '.join(devices) or 'none'}"
            example = f"trusting: [{next(iter(devices), '')}]"
            yield Problem(("gateway", "trusting", index), found, allowed, example)


def _streams(streams: Iterable[Stream]) -> Iterator[Problem]:
    """Each service once, and what to say for those that are not known."""
    listed = list(enumerate(streams))
    names = [(("streams", index, "service"), stream.service) for index, stream in listed]
    yield from _differ(names, "service", "service: pandora")
    for index, stream in listed:
        if stream.say is None and stream.service not in PLAY:
            found = f"service {shown(stream.service)} without the sentence that starts it"
            allowed = f"'say', or one of {', '.join(PLAY)}"
            example = f"say: Alexa, play {stream.service}."
            yield Problem(("streams", index), found, allowed, example)


def _sites(sites: Iterable[Site], place: Place) -> Iterator[Problem]:
    listed = list(enumerate(sites))
    names = [((*place, index, "site"), site.site) for index, site in listed]
    yield from _differ(names, "site", "site: daily-news")
    pages = [((*place, index, "url"), site.url) for index, site in listed]
    yield from _differ(pages, "url", "url: https://news.example/")


def _differ(values: Iterable[tuple[Place, str]], what: str, example: str) -> Iterator[Problem]:
    seen: set[str] = set()
    for place, value in values:
        if value in seen:
            yield Problem(place, f"{what} {shown(value)} a second time", "each once", example)
        seen.add(value)


def _network(address: str) -> Iterator[Problem]:
    try:
        interface = ipaddress.IPv4Interface(address)
    except ValueError:
        interface = None
    if interface is None or not 8 <= interface.network.prefixlen <= 29:
        allowed = "an IPv4 address with its network's length, 8 to 29"
        example = "address: 192.168.77.1/24"
        yield Problem(
            ("gateway", "address"), f"found {shown(address)} for gateway.address", allowed, example
        )


def _resolver(resolver: str, place: Place) -> Iterator[Problem]:
    address, _, port = resolver.partition("#")
    try:
        ipaddress.ip_address(address)
        fits = not port or 0 < int(port) < 65536
    except ValueError:
        fits = False
    if not fits:
        allowed = "an IP address, with #PORT when it is not 53"
        yield Problem(
            place, f"found {shown(resolver)} for gateway.dns", allowed, 'dns: ["9.9.9.9"]'
        )
