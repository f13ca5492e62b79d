import re
from ipaddress import ip_address
from pathlib import Path

import pytest

from echoaudit.errors import BadInput
from echoaudit.lab.accounts import make_accounts, read_accounts, write_accounts, write_sign_in
from echoaudit.lab.truth import Truth, read_log
from echoaudit.lab.world import NETWORK, load_world
from echoaudit.lab.world_settings import overlay
from echoaudit.study.models import Config, Skill

WORLDS = Path(__file__).parents[2] / "worlds"
OTHER = Path(__file__).parent / "other_world.yaml"
SKILL = Skill(
    id="B1", name="Sneaker Trivia", invocation="sneaker trivia", utterances=("Alexa, hi",)
)


def changed(tmp_path, old, new, source=OTHER):
    text = source.read_text()
    assert old in text
    path = tmp_path / "world.yaml"
    path.write_text(text.replace(old, new, 1))
    return path


def test_null_world_is_the_paper_world_without_targeting():
    paper, null = load_world("paper"), load_world("null")
    assert null.file.model_copy(update={"world": "paper", "targeting": True}) == paper.file
    assert paper.effect("Fashion & Style") > 1.5
    assert set(null.truth()["effects"].values()) == {1.0}
    assert null.syncs() == paper.syncs()


def test_addresses_are_stable_reserved_and_apart_by_kind_of_server():
    hosts = load_world("paper").hosts()
    assert hosts == load_world("paper").hosts()
    kinds = {}
    for host in hosts:
        assert ip_address(host.address) in NETWORK
        kinds.setdefault(host.address, set()).add((host.tls, host.http))
    assert all(len(kind) == 1 for kind in kinds.values())
    assert {kind for found in kinds.values() for kind in found} == {
        ("1.2", "1.1"), ("1.2", "2"), ("1.3", "1.1"), ("1.3", "2"),
    }  # fmt: skip


def test_a_shared_address_has_hosts_of_several_owners():
    traps = load_world("traps")
    owners = traps.truth()["organisations"]
    one, other = (traps.host(name) for name in ("setup.lanternwick.com", "play.copperkite.org"))
    assert one.address == other.address
    assert owners[one.name]["organisation"] != owners[other.name]["organisation"]


def test_what_whoever_asks_an_address_learns_of_it():
    other = load_world(OTHER)
    told = other.truth()["asked"]
    assert {name: told.get(other.host(f"{name}.badger-home.com").address) for name in
            ("sett", "paw", "den", "run")} == {
        "sett": "sett.badger-home.com",
        "paw": "badger-home.com",
        "den": "host-9.burrow-edge.net",
        "run": None,
    }  # fmt: skip
    shared = load_world("traps").host("setup.lanternwick.com")
    assert shared.certificate == ("setup.lanternwick.com", "play.copperkite.org")
    assert shared.reverse == "play.copperkite.org"


def test_what_is_added_goes_before_the_other_worlds_items():
    traps, paper = load_world("traps"), load_world("paper")
    count = len(paper.file.organisations)
    assert traps.file.organisations[-count:] == paper.file.organisations
    assert len(traps.file.organisations) > count
    assert traps.file.behaviours[1:] == paper.file.behaviours
    assert traps.file.platform.background[-2:] == paper.file.platform.background
    assert traps.file.bidders == paper.file.bidders


def test_effect_is_the_mean_logarithmic_lift_of_bidders_that_can_know():
    other = load_world(OTHER)
    # Weights are bid rates 1.0, 0.9, 1.0; trellis is never told by the platform.
    assert other.effect("Gardening") == pytest.approx(3.0 ** (1 / 2.9))
    assert other.effect("Knitting") == 1.0


def test_chain_passes_each_identifier_on_once():
    hops = [(hop.source, hop.target) for hop in load_world(OTHER).chain("beanstalk")]
    assert hops == [("beanstalk", "rake"), ("rake", "trellis"), ("beanstalk", "platform")]


def test_chain_ends_where_parties_send_to_each_other(tmp_path):
    path = changed(tmp_path, "path: /px, cookie: t}", "path: /px, cookie: t, sends: [{to: rake}]}")
    assert len(load_world(path).chain("beanstalk")) == 4


def test_a_named_skill_goes_before_its_interest_and_unnamed_ones_talk_to_nobody():
    paper = load_world("paper")
    named = paper.behaviour(SKILL, "Fashion & Style")
    of_interest = paper.behaviour(
        SKILL.model_copy(update={"name": "X", "invocation": "x"}), "Fashion & Style"
    )
    unnamed = paper.behaviour(SKILL.model_copy(update={"name": "X", "invocation": "x"}), "Cooking")
    assert {c.host for c in named.contacts} == {
        "traffic.omny.fm",
        "playerservices.streamtheworld.com",
    }
    assert {c.host for c in of_interest.contacts} == {"api.amazonalexa.com"}
    assert unnamed.contacts == ()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("seed: 77", "sede: 77", r"world.yaml:3:1: .*'sede'.*seed"),
        ("seed: 77", "seed: no", r"world.yaml:3:7: .*whole number"),
        ("seed: 77", "seed: 77\nseed: 78", r"world.yaml:4:1: .*second time"),
        ("bid: 0.05", "bid: -1", r"world.yaml:5:\d+: .*number"),
        ("{host: hb.trellis.co.uk}", "{host: HB.trellis}", r"world.yaml:\d+:\d+: .*lower case"),
        ("[{host: id.rake.de, ", "[{host: ib.rake.de, ", r"id\.rake\.de.*no organi.*ib\.rake\.de"),
        ("host: hedge.example.com\n  ", "host: edge.example.com\n  ", "edge.example.com"),
        ("{to: rake, encoding: hex}", "{to: rakes, encoding: hex}", r"unknown party 'rakes'.*rake"),
        ("{to: rake, encoding: hex}", "{to: beanstalk}", "sending to itself"),
        ("bidders: [beanstalkHb", "bidders: [beanstalk", "unknown bidder 'beanstalk'"),
        ("party: casale, bid_rate", "party: rake, bid_rate", r"never sees.*same registrable"),
        ("adapter: ix,", "adapter: ix, host: id.rake.de,", "adkernel"),
        ("{slot: b,", "{slot: a,", r"slot 'a' a second time"),
        ("[chtbl.com]", "[chtble.com]", r"chtble\.com.*no organi.*chtbl\.com"),
        ("q.earthworm.io, http", 'q.earthworm.io, tls: "1.2", http', "HTTP/3 over TLS 1.2"),
        ("{host: chtbl.com}", "{host: q.earthworm.io, hello: large}", "unusual hello.*QUIC"),
        ("{host: chtbl.com}", "{host: chtbl.com, hello: tiny}", "whole.*segments.*records.*large"),
        ("{host: chtbl.com}", "{host: chtbl.com, lookup: 2}", "always.*once.*never"),
        ('t.earthworm.io, tls: "1.2"', 't.earthworm.io, address_of: chtbl.com, tls: "1.2"',
         "another kind"),
        ("{host: id.beanstalk.com", "{host: id.beanstalk.com, address_of: no.example", "no organi"),
        ("reverse: none}", "reverse: nobody}", r"world.yaml:\d+:\d+: .*'none'"),
        ('["*.badger-home.com"]', '["*badger-home.com"]', r"full host name.*or \*\. and one"),
        ("{host: dsum.casalemedia.com}", "{host: d.casalemedia.com, reverse: none}, "
         "{host: dsum.casalemedia.com, reverse: a.example.com}", "a second reverse"),
        ("{host: dsum.casalemedia.com}", "{host: dsum.casalemedia.com, reverse: none, "
         "cname: a.example.com}", "an alias at an address without reverse DNS"),
        ('io, http: "3"', 'io, http: "3", certificate: [a.example.com]', "which speaks QUIC"),
        ("apstag, host: aax.amazon-adsystem.com", "apstag, host: pbs.molehill.org",
         r"pbs\.molehill\.org.* for apstag.*amazon-adsystem"),
        ("prebid-server, host: pbs.m", "prebid-server, host: pbs.n", "no organi"),
        ("world: parrot", "world: parrot\nadd: {}", r"world.yaml:3:1: .*'add'"),
        ("world: parrot", "world: parrot\nbased_on: nowhere.yaml", r"world.yaml:3:11: no file"),
    ],
)  # fmt: skip
def test_a_wrong_world_ends_in_one_line_with_its_place(tmp_path, old, new, message):
    path = changed(tmp_path, old, new)
    with pytest.raises(BadInput) as caught:
        load_world(path)
    assert re.search(message, str(caught.value))
    assert re.match(rf"{re.escape(str(path))}:\d+:\d+: ", str(caught.value))
    assert "\n" not in str(caught.value)


def test_a_world_without_an_ad_for_everybody_is_refused(tmp_path):
    path = changed(tmp_path, "at</b> all", "at</b> all", OTHER)
    path.write_text(path.read_text().replace('all"}', 'all", interest: Chess}'))
    with pytest.raises(BadInput, match="no ad without an interest"):
        load_world(path)


def test_unknown_world_lists_the_known_ones():
    with pytest.raises(BadInput, match="known: null, null-streams, paper, streams, traps"):
        load_world("papre")
    with pytest.raises(BadInput, match="no world file"):
        load_world("elsewhere/world.yaml")


def test_overlay_fits_the_configuration():
    settings = overlay(load_world("paper"), Path("/state"))
    assert [site["site"] for site in settings["sites"]] == [
        "harbor-gazette", "field-and-kettle", "quiet-scores",
    ]  # fmt: skip
    known = Config.model_fields
    assert set(settings) <= set(known)
    assert set(settings["browser"]) <= set(known["browser"].annotation.model_fields)
    assert set(settings["gateway"]) <= set(known["gateway"].annotation.model_fields)
    assert "block" not in settings["gateway"]
    assert overlay(load_world("traps"), Path("/state"))["gateway"]["block"] == [
        "/state/blocked.txt"
    ]


def test_accounts_are_reproducible_secret_and_differ():
    first = make_accounts(["a-1", "a-2"], seed=1)
    assert first == make_accounts(["a-1", "a-2"], seed=1)
    assert first != make_accounts(["a-1", "a-2"], seed=2)
    assert make_accounts(["a-1"]) != make_accounts(["a-1"])
    assert first["a-1"].password not in repr(first)


def test_account_files_are_for_their_owner_only(tmp_path):
    accounts = make_accounts(["a-1"], seed=1)
    path = tmp_path / "accounts.json"
    write_accounts(path, accounts)
    assert read_accounts(path) == accounts
    for written in (path, write_sign_in(tmp_path, accounts)):
        assert written.stat().st_mode & 0o777 == 0o600


def test_broken_accounts_file_is_one_line(tmp_path):
    path = tmp_path / "accounts.json"
    path.write_text('{"a-1": {"token": 5}}')
    with pytest.raises(BadInput, match="needs the texts password, serial, token, username"):
        read_accounts(path)


def test_truth_goes_on_after_a_torn_line(tmp_path):
    truth = Truth(tmp_path)
    truth.write("bids", {"n": 1})
    truth.close()
    with (tmp_path / "truth" / "bids.jsonl").open("a") as file:
        file.write('{"time": 1, "n"')
    again = Truth(tmp_path)
    again.write("bids", {"n": 2})
    again.close()
    assert [row["n"] for row in read_log(tmp_path, "bids")] == [1, 2]


def test_the_documented_world_can_be_loaded(tmp_path):
    text = (WORLDS.parent / "docs" / "lab.md").read_text()
    (tmp_path / "paper.yaml").write_text((WORLDS / "paper.yaml").read_text())
    (tmp_path / "kinder.yaml").write_text(text.split("```yaml\n")[1].split("```")[0])
    kinder, paper = load_world(tmp_path / "kinder.yaml"), load_world("paper")
    assert 1.0 < kinder.effect("Fashion & Style") < paper.effect("Fashion & Style")
    assert f"{paper.effect('Fashion & Style'):.2f} for Fashion & Style" in text
    assert kinder.hosts() == paper.hosts()
