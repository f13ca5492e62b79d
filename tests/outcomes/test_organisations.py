"""Names to owners: right or unknown, never wrong."""

from pathlib import Path

import pytest

import echoaudit.outcomes.lists
from echoaudit.errors import BadInput
from echoaudit.outcomes.organisations import (
    Attribution,
    Directory,
    directory,
    party,
    read_overlay,
    registrable,
    words,
)

# Host, organisation, parent or host's operator, role; "" and "unknown" where nothing supports more.
KNOWN = [
    ("device-metrics-us-2.amazon.com", "Amazon", "Amazon", "tracking"),
    ("unagi-na.amazon.com", "Amazon", "Amazon", "unknown"),
    ("dcape-na.amazon.com", "Amazon", "Amazon", "unknown"),
    ("api.amazonalexa.com", "Amazon", "Amazon", "functional"),
    ("prod.amcs-tachyon.com", "Amazon", "Amazon", "unknown"),
    ("s3.amazonaws.com", "", "Amazon", "hosting"),
    ("d1f8sk9ya4e5q8.cloudfront.net", "", "Amazon", "hosting"),
    ("s.amazon-adsystem.com", "Amazon", "Amazon", "advertising"),
    ("aax-us-east.amazon-adsystem.com", "Amazon", "Amazon", "advertising"),
    ("cdn.megaphone.fm", "Megaphone", "Spotify", "tracking"),
    ("play.podtrac.com", "Podtrac", "Podtrac", "tracking"),
    ("dts.podtrac.com", "Podtrac", "Podtrac", "tracking"),
    ("chtbl.com", "Chartable", "Spotify", "tracking"),
    ("chrt.fm", "Chartable", "Spotify", "tracking"),
    ("pdst.fm", "Podsights", "Spotify", "tracking"),
    ("traffic.omny.fm", "Triton Digital", "iHeartMedia", "tracking"),
    ("traffic.libsyn.com", "Libsyn", "Libsyn", "tracking"),
    ("adservice.google.com", "Google", "Alphabet", "advertising"),
    ("ib.adnxs.com", "Xandr", "Microsoft", "advertising"),
    ("fastlane.rubiconproject.com", "Magnite", "Magnite", "advertising"),
    ("api.youversionapi.com", "YouVersion", "Life.Church", "unknown"),
    ("static.garmincdn.com", "Garmin", "Garmin", "unknown"),
    ("www.cloudflare.com", "Cloudflare", "Cloudflare", "hosting"),
    ("ntp.pool.org", "", "", "unknown"),
]


# Others whose owner or role is easily taken for another's.
MORE = [
    ("mgln.ai", "Magellan AI", "Magellan AI", "tracking"),
    ("prfx.byspotify.com", "Spotify", "Spotify", "tracking"),
    ("pscrb.fm", "Podscribe", "Podscribe", "tracking"),
    ("open.spotify.com", "Spotify", "Spotify", "unknown"),
    ("scribe.logs.roku.com", "Roku", "Roku", "tracking"),
    ("api.roku.com", "Roku", "Roku", "unknown"),
    ("msmetrics.ws.sonos.com", "Sonos", "Sonos", "tracking"),
    ("guzzoni.apple.com", "Apple", "Apple", "functional"),
    ("time.apple.com", "Apple", "Apple", "functional"),
    ("www.bing.com", "Microsoft", "Microsoft", "unknown"),
    ("bat.bing.com", "Microsoft", "Microsoft", "tracking"),
    ("somebody.b-cdn.net", "", "bunny.net", "hosting"),
    ("somebody.web.app", "", "Google", "hosting"),
    ("abc.lambda-url.us-east-1.on.aws", "", "Amazon", "hosting"),
    ("pool.ntp.org", "NTP Pool Project", "NTP Pool Project", "functional"),
    ("www.ntp.org", "", "", "unknown"),
]


@pytest.mark.parametrize(("host", "organisation", "above", "role"), KNOWN + MORE)
def test_names_that_matter(host, organisation, above, role):
    found = directory().attribute(host)
    assert (found.organisation, found.parent or found.hosted_by, found.role) == (
        organisation,
        above,
        role,
    )
    assert bool(found.role_source) == bool(above)


def test_all_of_amazon_is_not_a_tracker():
    assert directory().attribute("www.amazon.com").role == "unknown"
    assert directory().attribute("unagi-na.amazon.com").role == "unknown"


def test_a_suffix_is_whole_labels():
    for host in (
        "notamazon.com",
        "amazon.com.evil.example",
        "xpodtrac.com",
        "fm",
        "pool.ntp.org.x",
    ):
        assert directory().attribute(host).organisation == ""


def test_the_most_specific_suffix_wins_whatever_the_spelling():
    found = directory().attribute("AdService.Google.COM.")
    assert found.role == "advertising"
    assert "adservice.google.com" in found.role_source


def test_shared_hosting_never_names_the_responsible_party():
    for host in ("bucket.s3.amazonaws.com", "x.herokuapp.com", "storage.googleapis.com"):
        found = directory().attribute(host)
        assert (found.organisation, found.parent, found.role) == ("", "", "hosting")
        assert found.hosted_by
        assert party(found, "Anybody") == "unknown"
    rented = directory().attribute("somebody.github.io")
    assert (rented.organisation, rented.role) == ("", "hosting")
    assert rented.role_source == "public-suffix-list: private"


@pytest.mark.parametrize("host", ["", "198.18.1.5", "2001:db8::1"])
def test_addresses_have_no_owner(host):
    assert directory().attribute(host) == Attribution("")


def test_registrable_domains_follow_the_public_suffix_list():
    assert registrable("a.b.bbc.co.uk") == "bbc.co.uk"
    assert registrable("www.example.com") == "example.com"
    assert registrable("localhost") == "localhost"
    assert registrable("198.18.1.5") == "198.18.1.5"
    assert registrable("a.shop.example") == "shop.example"


@pytest.mark.parametrize(
    ("host", "vendor", "expected"),
    [
        ("unagi-na.amazon.com", "Garmin International", "platform"),
        ("cdn.art19.com", None, "platform"),
        ("static.garmincdn.com", "Garmin", "vendor"),
        ("static.garmincdn.com", "Garmin International", "unknown"),
        ("api.dominos.com", "Domino's Pizza LLC", "unknown"),
        ("api.dominos.com", "Dominion", "third"),
        ("api.youversionapi.com", "YouVersion", "vendor"),
        ("api.youversionapi.com", "Life.Church", "vendor"),
        ("api.acmeshoes.example", "Acme Shoes, Inc.", "vendor"),
        ("api.acme-shoes-api.example", "Acme Shoes", "vendor"),
        ("api.acmeshoesandmore.example", "Acme Shoes", "unknown"),
        ("api.acme.example", None, "unknown"),
        ("a.applebees.com", "Apple", "unknown"),
        ("dts.podtrac.com", "Garmin", "third"),
        ("cdn.ab.example", "AB", "unknown"),
    ],
)
def test_parties(host, vendor, expected):
    assert party(directory().attribute(host), vendor) == expected


def test_a_list_that_contradicts_itself_is_refused():
    text = """
list: mine
date: 2026-01-01
bases: {own-name: because}
organisations:
  - {organisation: A, claims: [{suffix: a.example, basis: own-name}]}
  - {organisation: B, claims: [{suffix: SUFFIX, basis: BASIS}]}
"""
    good = text.replace("SUFFIX", "b.example").replace("BASIS", "own-name")
    assert Directory.of([read_overlay(good, "x")]).attribute("x.b.example").organisation == "B"
    for change in (("SUFFIX", "a.example"), ("SUFFIX", "*.b"), ("BASIS", "hearsay")):
        bad = text.replace(*change).replace("SUFFIX", "b.example").replace("BASIS", "own-name")
        with pytest.raises(BadInput, match="x: "):
            read_overlay(bad, "x")


def test_every_basis_is_used_and_lists_are_found_where_users_look():
    installed = Path(echoaudit.outcomes.lists.__file__).with_name("organisations.yaml")
    overlay = read_overlay(installed.read_text(), installed.name)
    names = [n for owner in overlay.organisations for n in (owner.organisation, *owner.aliases)]
    assert len({words(name) for name in names}) == len(names)
    used = {claim.basis for owner in overlay.organisations for claim in owner.claims}
    assert used == overlay.bases.keys()
    shown = Path(__file__).parents[2] / "configs" / "lists" / "organisations.yaml"
    assert shown.resolve() == installed.resolve()
