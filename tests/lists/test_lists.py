"""Installed lists: what they say of whole hosts, and findings that name them."""

from __future__ import annotations

import json
import sqlite3
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from echoaudit import findings
from echoaudit.cli import group
from echoaudit.errors import BadInput, Damaged, Unavailable
from echoaudit.findings.agreement import organisations_differ, purposes_differ
from echoaudit.lists import Store, matcher
from echoaudit.recording import Recording

sys.path.insert(0, str(Path(__file__).parents[1] / "outcomes"))
from captures_kit import START, pcapng, secure

EASY = """[Adblock Plus 2.0]
! Title: not the real one
||podtrac.com^$third-party
||amazon.com^*/tracking/
||amazon.com/ads/
||images.example^$image
||news-only.example^$domain=news.example
||pages.example^$document
@@||good.podtrac.com^
*$ping
||allads.example^
example.org##.banner
"""
HOSTS = """# a hosts file
0.0.0.0 dts.podtrac.com # podcasts
127.0.0.1 localhost
::1 ip6-localhost
plain.example.com
two words
0.0.0.0 exact.example.com other.example.com
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("ECHOAUDIT_LISTS", str(tmp_path / "installed"))
    return tmp_path / "installed"


def command(*arguments: object):
    return CliRunner().invoke(group, [str(word) for word in arguments])


def install(tmp_path, name: str, text: str | bytes) -> None:
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    done = command("lists", "update", path)
    assert done.exception is None, done.exception


# --- what lists say ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "says", "rule"),
    [
        ("dts.podtrac.com", "listed", "||podtrac.com^$third-party"),
        ("good.podtrac.com", "allowed", "@@||good.podtrac.com^"),
        ("a.allads.example", "listed", "||allads.example^"),
    ],
)
def test_adblock_rules_for_whole_hosts(host, says, rule) -> None:
    found = matcher("adblock", EASY).find(host)
    assert found is not None
    assert (found.says, found.rule) == (says, rule)
    assert found.types == ("script", "image", "xhr", "other")


@pytest.mark.parametrize(
    "host",
    ["amazon.com", "www.amazon.com", "api.amazonalexa.com", "news-only.example", "pages.example",
     "unknown.example", "notpodtrac.com", "example.org"],
)  # fmt: skip
def test_rules_for_paths_pings_and_pages_say_nothing_of_a_host(host) -> None:
    assert matcher("adblock", EASY).find(host) is None


def test_a_rule_for_one_type_says_so() -> None:
    found = matcher("adblock", EASY).find("images.example")
    assert found is not None
    assert found.types == ("image",)


def test_a_rule_that_matches_everything_says_nothing() -> None:
    assert matcher("adblock", "*$script\n||x.example^").find("any.example.com") is None


def test_hosts_files_name_hosts_and_none_below() -> None:
    known = matcher("hosts", HOSTS)
    found = known.find("dts.podtrac.com")
    assert found is not None
    assert found.rule == "0.0.0.0 dts.podtrac.com (podcasts)"
    assert known.find("sub.dts.podtrac.com") is None
    assert known.find("plain.example.com") is not None
    assert known.find("other.example.com") is not None
    assert known.find("localhost") is None


def gravity(path: Path) -> bytes:
    with sqlite3.connect(path) as db:
        db.executescript("""
            CREATE TABLE adlist (id INTEGER PRIMARY KEY, address TEXT);
            CREATE TABLE gravity (domain TEXT, adlist_id INTEGER);
            CREATE TABLE domainlist (type INTEGER, domain TEXT, enabled INTEGER);
            INSERT INTO adlist VALUES (1, 'https://lists.example/a'), (2, 'https://lists.example/b');
            INSERT INTO gravity VALUES ('dts.podtrac.com', 1), ('dts.podtrac.com', 2), ('x.y', 1);
            INSERT INTO domainlist VALUES (1, 'denied.example', 1), (0, 'x.y', 1), (1, 'off.z', 0);
        """)
    return path.read_bytes()


def test_gravity_says_which_of_its_lists_it_is(tmp_path) -> None:
    install(tmp_path, "gravity.db", gravity(tmp_path / "made.db"))
    store = Store.default()
    known = matcher("hosts", store.text(store.installed()[0]))
    found = {
        host: known.find(host) for host in ("dts.podtrac.com", "denied.example", "x.y", "off.z")
    }
    assert found["dts.podtrac.com"].rule == (
        "dts.podtrac.com (https://lists.example/a); dts.podtrac.com (https://lists.example/b)"
    )
    assert found["denied.example"].rule == "denied.example (exact denied)"
    assert found["x.y"].says == "allowed"
    assert found["off.z"] is None


# --- the store ---------------------------------------------------------------------------------


def test_update_show_and_remove(tmp_path) -> None:
    install(tmp_path, "Easy List.txt", EASY)
    install(tmp_path, "hosts", HOSTS)
    shown = json.loads(command("lists", "show", "--json").stdout)
    assert [(one["name"], one["format"], one["rules"]) for one in shown] == [
        ("easy-list", "adblock", 9),
        ("hosts", "hosts", 4),
    ]
    (tmp_path / "hosts").write_text("0.0.0.0 new.example.com\n")
    assert "hosts: 1 rules" in command("lists", "update").output
    assert command("lists", "remove", "hosts").exit_code == 0
    assert [one.name for one in Store.default().installed()] == ["easy-list"]


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe\x00", b"<html>\n<p>gone</p>", b"SQLite format 3\0 nothing more"]
)
def test_what_is_no_list_is_refused_and_changes_nothing(tmp_path, content) -> None:
    install(tmp_path, "hosts", HOSTS)
    (tmp_path / "hosts").write_bytes(content)
    done = command("lists", "update", tmp_path / "hosts")
    assert isinstance(done.exception, BadInput)
    assert Store.default().installed()[0].rules == 4


def test_without_the_extra_adblock_rules_are_refused(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "adblock", None)
    (tmp_path / "easy.txt").write_text(EASY)
    done = command("lists", "update", tmp_path / "easy.txt")
    assert isinstance(done.exception, Unavailable)
    assert "echoaudit[lists]" in str(done.exception)
    assert Store.default().installed() == ()


# --- findings ----------------------------------------------------------------------------------


@pytest.fixture
def recording(tmp_path):
    packets = secure("dts.podtrac.com", start=START).packets
    packets += secure("good.podtrac.com", start=START + 1, port=40001).packets
    packets += secure("api.amazonalexa.com", start=START + 2, port=40002).packets
    (tmp_path / "x.pcapng").write_bytes(pcapng(packets))
    done = command("import", "pcap", tmp_path / "x.pcapng", "--into", tmp_path / "recording")
    assert done.exception is None, done.exception
    return Recording.open(tmp_path / "recording")


def test_findings_say_who_lists_a_host_and_where_lists_disagree(tmp_path, recording) -> None:
    install(tmp_path, "easy.txt", EASY)
    install(tmp_path, "hosts", HOSTS + "api.amazonalexa.com\n")
    found = findings.compute(recording, Store.default().installed()).tables["listed"]
    said = {(row.host, row.list): (row.says, row.conflict) for row in found.itertuples()}
    assert said == {
        ("dts.podtrac.com", "easy"): ("listed", ""),
        ("dts.podtrac.com", "hosts"): ("listed", ""),
        ("dts.podtrac.com", "echoaudit"): ("named", ""),
        ("good.podtrac.com", "easy"): ("allowed", "listing"),
        ("good.podtrac.com", "hosts"): ("not listed", "listing"),
        ("good.podtrac.com", "echoaudit"): ("named", "listing"),
        ("api.amazonalexa.com", "easy"): ("not listed", "purpose listing"),
        ("api.amazonalexa.com", "hosts"): ("listed", "purpose listing"),
        ("api.amazonalexa.com", "echoaudit"): ("named", "purpose listing"),
    }


ENTITIES = [
    {"name": "Podtrac Measurement", "category": "analytics", "domains": ["dts.podtrac.com"]},
    {"name": "Somebody Else", "category": "content", "domains": ["good.podtrac.com"]},
    {"name": "Amazon Web Services", "category": "other", "domains": ["*.amazonalexa.com"]},
]


def test_organisations_and_categories_stand_beside_our_own(tmp_path, recording) -> None:
    install(tmp_path, "owners.json", json.dumps(ENTITIES))
    found = findings.compute(recording, Store.default().installed()).tables["listed"]
    said = {
        (row.host, row.list): (row.says, row.organisation, row.category, row.conflict)
        for row in found.itertuples()
    }
    both = "organisation purpose"
    assert said == {
        ("dts.podtrac.com", "owners"): ("named", "Podtrac Measurement", "analytics", ""),
        ("dts.podtrac.com", "echoaudit"): ("named", "Podtrac", "tracking", ""),
        ("good.podtrac.com", "owners"): ("named", "Somebody Else", "content", both),
        ("good.podtrac.com", "echoaudit"): ("named", "Podtrac", "tracking", both),
        ("api.amazonalexa.com", "owners"): ("named", "Amazon Web Services", "other", ""),
        ("api.amazonalexa.com", "echoaudit"): ("named", "Amazon", "functional", ""),
    }


@pytest.mark.parametrize(
    ("stated", "differ"),
    [
        ([{"Google/Doubleclick Ads"}, {"Google LLC"}, {"Alphabet"}], False),
        ([{"AppNexus"}, {"Microsoft"}], False),
        ([{"Rubicon Project"}, {"Magnite, Inc."}], False),
        ([{"Megaphone"}, {"Spotify"}], False),
        ([{"SiriusXM"}, {"Sirius XM"}, {"Pandora"}], False),
        ([{"Amazon"}, {"Amazon.com", "Amazon Associates"}, set()], False),
        ([{"Unheard Of"}, {"The Unheard Of Company"}], False),
        ([{"Tremor Video"}, {"Magnite"}], True),
        ([{"Amazon"}, {"Amazing"}], True),
        ([{"Podtrac"}, {"Spotify"}], True),
        ([{"A"}, {"B"}, {"A", "B"}], False),
        ([set(), {"A"}], False),
    ],
)
def test_names_of_one_family_are_no_conflict(stated, differ) -> None:
    assert organisations_differ(stated) is differ


DISCONNECT = {
    "license": "theirs",
    "categories": {
        "Content": [{"Amazon.com": {"http://www.amazon.com/": ["amazon.com", "amazon.co.uk"]}}],
        "Advertising": [{"Other": {"http://o.example/": ["o.example"], "dnt": "yes"}}],
    },
}


def test_all_of_amazon_is_no_tracker_by_any_list(tmp_path) -> None:
    install(tmp_path, "services.json", json.dumps(DISCONNECT))
    install(tmp_path, "easy.txt", EASY)
    install(tmp_path, "entities.json", json.dumps(
        [{"name": "Amazon Web Services", "category": "other", "domains": ["*.amazon.com"]}]
    ))  # fmt: skip
    store = Store.default()
    for host in ("amazon.com", "www.amazon.com", "unagi-na.amazon.com"):
        found = [matcher(one.format, store.text(one)).find(host) for one in store.installed()]
        said = {(match.says, *match.categories) for match in found if match}
        assert said == {("named", "Content"), ("named", "other")}
        assert not purposes_differ([*(c for m in found if m for c in m.categories), "functional"])
    services = matcher("owners", store.text(store.installed()[-1]))
    assert services.find("a.o.example").categories == ("Advertising",)


def test_a_list_does_not_change_the_other_findings(tmp_path, recording) -> None:
    before = findings.compute(recording)
    install(tmp_path, "hosts", HOSTS)
    after = findings.compute(recording, Store.default().installed())
    assert "listed" not in before.tables
    assert "lists" not in before.provenance
    tables = after.provenance["tables"]
    assert {name: tables[name] for name in before.tables} == before.provenance["tables"]


def test_the_report_shows_rules_and_names_the_list_by_hash(tmp_path, recording) -> None:
    head = "[Adblock Plus 2.0]\n! Version: 8\n! Licence: theirs\n"
    install(tmp_path, "easy.txt", head + EASY + "||<script>alert(1)</script>\n")
    install(tmp_path, "owners.json", json.dumps(ENTITIES))
    done = command("report", recording.folder, "-o", tmp_path / "report.html")
    assert done.exception is None, done.exception
    page = (tmp_path / "report.html").read_text()
    assert "||podtrac.com^$third-party" in page
    assert "The lists disagree of 1 on whose it is" in page
    assert "Somebody Else" in page
    assert "list easy, version 8, licence theirs (SHA-256)" in page
    assert Store.default().installed()[0].sha256 in page
    assert "<script>" not in page


def test_check_uses_the_lists_of_the_findings_not_those_of_today(tmp_path, recording) -> None:
    install(tmp_path, "hosts", HOSTS)
    install(tmp_path, "owners.json", json.dumps(ENTITIES))
    report = tmp_path / "report.html"
    assert command("replay", recording.folder, "-o", report).exception is None
    install(tmp_path, "hosts", "0.0.0.0 other.example.com\n")
    install(tmp_path, "owners.json", json.dumps(ENTITIES[:1]))
    install(tmp_path, "easy.txt", EASY)
    assert findings.check(Recording.open(recording.folder)) == []


def test_check_says_which_list_is_missing(tmp_path, recording, folder) -> None:
    install(tmp_path, "hosts", HOSTS)
    used = Store.default().installed()[0]
    findings.replay(recording, tmp_path / "report.html", [used])
    (folder / used.sha256).unlink()
    with pytest.raises(Unavailable, match=f"the list hosts .SHA-256 {used.sha256}. is not instal"):
        findings.check(recording)
    (folder / used.sha256).write_text("0.0.0.0 other.example.com\n")
    with pytest.raises(Damaged, match="changed since it was installed"):
        findings.check(recording)
