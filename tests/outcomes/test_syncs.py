"""The outcome ``syncs``: identifiers found wherever they travel, decoys left alone."""

from __future__ import annotations

import base64
import hashlib
import json
import random
import time
import uuid
from urllib.parse import quote

import pytest
import sync_worlds
from hypothesis import given, settings
from hypothesis import strategies as st
from visits_kit import START, YEAR, Page, cookie, record

from echoaudit.outcomes import syncs
from echoaudit.outcomes.identifiers import Identifier, is_random
from echoaudit.outcomes.identifiers_decode import unfold
from echoaudit.outcomes.identifiers_search import Index

UID = "3f9c2a7be1d84f06"
DATA = UID.encode()


def found(folder, *pages):
    table = syncs.derive(record(folder, *pages))
    return {(row.source, row.target, row.encoding, row.place) for row in table.itertuples()}


def page(url, account="fashion-1", number=1, value=UID, **more):
    """A visit whose browser knows ``uid`` of tracker.test and asks for ``url``."""
    one = Page(account, number, after=[cookie(".tracker.test", "uid", value)])
    one.ask("https://cdn.tracker.test/pixel")
    one.ask(url, **more)
    return one


ENCODED = {
    "plain": UID,
    "url": "%33" + UID[1:],
    "base64": quote(base64.b64encode(DATA).decode(), safe=""),
    "hex": DATA.hex(),
    "md5": hashlib.md5(DATA).hexdigest(),
    "sha1": hashlib.sha1(DATA).hexdigest().upper(),
    "sha256": hashlib.sha256(DATA).hexdigest(),
    "json": quote(json.dumps({"user": {"id": UID}})),
    "jwt": ".".join(
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
        for part in ({"alg": "none"}, {"sub": UID})
    )
    + ".sig",
}


@pytest.mark.parametrize("encoding", ENCODED)
def test_an_identifier_is_found_however_it_is_encoded(tmp_path, encoding):
    one = page(f"https://partner.test/match?id={ENCODED[encoding]}&cb=1")
    assert found(tmp_path / "r", one) == {("tracker.test", "partner.test", encoding, "url")}


def test_base64_of_a_url_safe_value_is_told_from_the_standard_alphabet(tmp_path):
    value = "user?>~~?>identifier-77"
    form = base64.urlsafe_b64encode(value.encode()).decode()
    one = page(f"https://partner.test/match?id={form}", value=quote(value))
    assert found(tmp_path / "r", one) == {("tracker.test", "partner.test", "base64url", "url")}


def test_bodies_headers_and_redirects_are_looked_at(tmp_path):
    one = page("https://a.test/", body=json.dumps({"ids": [UID]}))
    one.ask("https://b.test/", headers=[("X-User", UID), ("Cookie", f"copy={UID}")])
    one.ask("https://tracker.test/go", chain="c")
    one.ask(f"https://c.test/in?u={UID}", chain="c")
    assert found(tmp_path / "r", one) == {
        ("tracker.test", "a.test", "json", "body"),
        ("tracker.test", "b.test", "plain", "header"),
        ("tracker.test", "c.test", "plain", "redirect"),
    }


def test_a_row_says_which_cookie_who_caused_it_and_how_far_it_came(tmp_path):
    one = page("https://cdn.tracker.test/go", chain="c", by="https://ads.test/tag.js")
    one.ask("https://cdn.tracker.test/on", chain="c", by="https://ads.test/tag.js")
    one.ask(f"https://x.partner.test/?u={UID}", chain="c", by="https://ads.test/tag.js")
    row = syncs.derive(record(tmp_path / "r", one)).iloc[0]
    assert (row["cookie"], row["initiator"], row["hops"]) == ("uid", "ads.test", 2)
    assert (row["chain"], row["direction"]) == ("tracker.test>tracker.test", "between others")
    assert row["identifier"] == hashlib.sha256(DATA).hexdigest()[:12]
    assert row["first_time"] == pytest.approx(one.started + 0.3)


def test_a_row_says_whether_the_platform_sends_or_is_sent(tmp_path):
    one = page(f"https://s.amazon-adsystem.com/ecm3?id={UID}")
    one.after.append(cookie("amazon-adsystem.com", "ad-id", "Q7kV2mZp9Xw4LtRs"))
    one.ask("https://partner.test/?aid=Q7kV2mZp9Xw4LtRs")
    table = syncs.derive(record(tmp_path / "r", one))
    assert dict(zip(table["target"], table["direction"], strict=True)) == {
        "amazon-adsystem.com": "to platform",
        "partner.test": "from platform",
    }


def test_a_partys_own_hosts_are_no_other_party(tmp_path):
    assert not found(tmp_path / "r", page(f"https://deep.sub.tracker.test/?u={UID}"))


def test_public_suffixes_are_respected(tmp_path):
    one = Page("fashion-1", after=[cookie("tracker.co.uk", "uid", UID)])
    one.ask(f"https://other.co.uk/?u={UID}")
    assert found(tmp_path / "r", one) == {("tracker.co.uk", "other.co.uk", "plain", "url")}


@pytest.mark.parametrize(
    "value",
    ["1790000000", "1790000123456", "2026-09-21T13:33:20", "20260921133320", "CheckForPermission",
     "aaaaaaaaaaaaaaaa", "10000000000000", "en-US", "short", "https://www.news.test/page",
     "www.news.test", "true"],
)  # fmt: skip
def test_times_words_places_and_settings_identify_nobody(tmp_path, value):
    one = page(f"https://partner.test/?v={quote(value, safe='')}", value=value)
    assert not found(tmp_path / "r", one)


def test_chance_that_reads_as_words_is_told_by_what_others_hold_in_that_cookie(tmp_path):
    spoken = page("https://partner.test/?v=JzumygSMYawc", value="v2|JzumygSMYawc|1")
    other = page("https://nobody.test/", account="vanilla-1", value="v2|t4Gx0pQz71mB|1")
    assert not found(tmp_path / "alone", spoken)
    both = found(tmp_path / "both", spoken, other)
    assert both == {("tracker.test", "partner.test", "plain", "url")}
    # Letters with six consonants in a row are nobody's words.
    unspoken = page("https://partner.test/?v=MYysNsdgbhoa", value="v2|MYysNsdgbhoa|1")
    assert found(tmp_path / "unspoken", unspoken) == both


def test_what_ends_with_the_browser_or_soon_after_is_a_session(tmp_path):
    for number, lifetime in enumerate((None, 1800, 20 * 86_400)):
        one = Page("fashion-1", after=[cookie("tracker.test", "sid", UID, lifetime)])
        one.ask(f"https://partner.test/?s={UID}")
        assert not found(tmp_path / str(number), one)


def test_what_two_accounts_share_is_a_constant(tmp_path):
    url = f"https://partner.test/?v={UID}"
    assert not found(tmp_path / "r", page(url), page(url, account="vanilla-1"))


def test_a_value_that_changes_with_every_visit_is_no_identifier(tmp_path):
    pages = []
    for number in (1, 2, 3, 4):
        value = hashlib.sha256(str(number).encode()).hexdigest()
        pages.append(page(f"https://partner.test/?v={value}", number=number, value=value))
    assert not found(tmp_path / "r", *pages)


def test_the_steady_part_of_a_changing_value_is_one(tmp_path):
    pages = [
        page(f"https://partner.test/?v={UID}", number=n, value=f"{UID}.{1_790_000_000 + n}")
        for n in (1, 2, 3)
    ]
    assert found(tmp_path / "r", *pages) == {("tracker.test", "partner.test", "plain", "url")}


def test_a_first_identifier_that_a_second_request_replaced_still_counts(tmp_path):
    first, second = (hashlib.md5(text).hexdigest() for text in (b"1", b"2"))
    one = Page("fashion-1", 1, after=[cookie("tracker.test", "uid", second)])
    lasting = {"name": "uid", "domain": ".tracker.test", "_maxAge": str(YEAR)}
    one.ask("https://tracker.test/a", set_cookies=[{**lasting, "value": first}])
    one.ask(f"https://partner.test/?u={first}")
    again = [page("https://cdn.tracker.test/", number=n, value=second) for n in (2, 3)]
    assert found(tmp_path / "r", one, *again) == {("tracker.test", "partner.test", "plain", "url")}


def test_a_cookie_that_the_browser_refused_is_none(tmp_path):
    one = Page("fashion-1")
    lasting = {"name": "uid", "value": UID, "domain": ".tracker.test", "_maxAge": str(YEAR)}
    one.ask("https://tracker.test/a", set_cookies=[lasting], blocked=["uid"])
    one.ask(f"https://partner.test/?u={UID}")
    assert not found(tmp_path / "r", one)


def test_who_was_given_an_identifier_does_not_become_its_owner(tmp_path):
    one = Page(
        "fashion-1",
        after=[cookie("tracker.test", "uid", UID), cookie("partner.test", "their", UID)],
    )
    lasting = {"value": UID, "_maxAge": str(YEAR)}
    one.ask("https://tracker.test/a", set_cookies=[{"name": "uid", **lasting}])
    one.ask(f"https://partner.test/?u={UID}", set_cookies=[{"name": "their", **lasting}])
    one.ask(f"https://third.test/?u={UID}")
    assert {(s, t) for s, t, _, _ in found(tmp_path / "r", one)} == {
        ("tracker.test", "partner.test"),
        ("tracker.test", "third.test"),
    }


def stored(number=1, account="fashion-1", kind="local", items=None, url=""):
    """A visit at whose end tracker.test's frame keeps something in its storage."""
    one = Page(account, number)
    one.ask("https://cdn.tracker.test/frame")
    one.ask(url or f"https://partner.test/match?id={UID}")
    kept = {"uid": UID} if items is None else items
    one.storage = [
        {"origin": "https://cdn.tracker.test", "page": "news.test", "kind": kind, "total": 1,
         "items": kept}
    ]  # fmt: skip
    return one


SENT = {("tracker.test", "partner.test", "plain", "url")}


@pytest.mark.parametrize(
    "items", [{"uid": UID}, {"state": json.dumps({"ids": {"uid": UID}, "seen": 3})}]
)
def test_an_identifier_in_local_storage_is_found_as_one_in_a_cookie(tmp_path, items):
    table = syncs.derive(record(tmp_path / "r", *(stored(n, items=items) for n in (1, 2))))
    ways = {(row.source, row.target, row.encoding, row.place) for row in table.itertuples()}
    assert ways == SENT
    assert set(table["cookie"]) == {f"local:{next(iter(items))}"}


@pytest.mark.parametrize(
    "items", [{"uid": UID}, {"state": json.dumps({"ids": {"uid": UID}, "seen": 3})}]
)
def test_what_session_storage_holds_again_in_another_tab_identifies(tmp_path, items):
    visits = [stored(n, kind="session", items=items) for n in (1, 2)]
    table = syncs.derive(record(tmp_path / "r", *visits))
    ways = {(row.source, row.target, row.encoding, row.place) for row in table.itertuples()}
    assert ways == SENT
    assert set(table["cookie"]) == {f"session:{next(iter(items))}"}


def test_a_sessions_own_id_identifies_nobody_even_where_two_hosts_of_a_site_hold_it(tmp_path):
    one = stored(1, kind="session")
    one.storage.append({**one.storage[0], "origin": "https://www.tracker.test"})
    assert found(tmp_path / "a", one) == set()
    values = [f"{n}c9d17a{n}be40f52" for n in range(2)]
    changing = [
        stored(n, kind="session", items={"id": v}, url=f"https://partner.test/m?id={v}")
        for n, v in enumerate(values)
    ]
    assert found(tmp_path / "b", *changing) == set()
    shared = [stored(n, a, "session") for a in ("fashion-1", "vanilla-1") for n in (1, 2)]
    assert found(tmp_path / "c", *shared) == set()


def test_storage_that_changes_or_that_accounts_share_is_no_identifier(tmp_path):
    values = [f"{n}c9d17a{n}be40f52" for n in range(2)]
    changing = [
        stored(n, items={"cb": v}, url=f"https://partner.test/m?id={v}")
        for n, v in enumerate(values)
    ]
    assert found(tmp_path / "a", *changing) == set()
    shared = [stored(n, account) for account in ("fashion-1", "vanilla-1") for n in (1, 2)]
    assert found(tmp_path / "b", *shared) == set()


def test_consent_strings_in_storage_are_no_identifiers(tmp_path):
    items = {"euconsent-v2": UID}
    assert found(tmp_path / "r", *(stored(n, items=items) for n in (1, 2))) == set()


def test_who_keeps_anothers_cookie_in_storage_does_not_become_its_owner(tmp_path):
    visits = []
    for number in (1, 2):
        one = page("https://cdn.partner.test/match?id=" + UID, number=number)
        one.storage = [{"origin": "https://cdn.partner.test", "page": "news.test",
                        "kind": "local", "total": 1, "items": {"theirs": UID}}]  # fmt: skip
        one.ask("https://third.test/match?id=" + UID)
        visits.append(one)
    assert {way[0] for way in found(tmp_path / "r", *visits)} == {"tracker.test"}


@pytest.mark.parametrize("storage", [{}, [3], [{"origin": "https://a.test", "kind": "local"}]])
def test_storage_of_another_form_holds_nothing(tmp_path, storage):
    one = stored(1)
    one.storage = storage
    assert found(tmp_path / "r", one) == set()


def test_part_of_a_longer_word_is_not_the_identifier(tmp_path):
    assert not found(tmp_path / "r", page(f"https://partner.test/?u={UID}99&v=a{UID}"))


def test_a_uuid_is_the_same_without_its_hyphens(tmp_path):
    value = str(uuid.UUID(int=0x3F9C2A7BE1D84F0695B1C4D2E8A7F013))
    one = page(f"https://partner.test/?u={value.replace('-', '').upper()}", value=value)
    assert found(tmp_path / "r", one) == {("tracker.test", "partner.test", "plain", "url")}


# --- whole worlds -----------------------------------------------------------------------------


def test_all_planted_syncs_and_no_others_among_41_partners_and_247_further_parties(tmp_path):
    world = sync_worlds.make(41247, 41, 247, ("a-1", "b-1"), 2)
    assert sync_worlds.found(tmp_path / "r", world) == world.planted


@pytest.mark.parametrize("seed", range(100, 106))
def test_worlds_made_up_by_a_seed_are_found_whole(tmp_path, seed):
    world = sync_worlds.make(seed, partners=9, downstream=12)
    assert sync_worlds.found(tmp_path / "r", world) == world.planted


@pytest.mark.parametrize(
    ("held", "sent"),
    [
        ("GA1.2.123456789.1780000001", "123456789.1780000001"),
        ("uid:SWmXqzTKCPbrdf", "SWmXqzTKCPbrdf"),
        ("v2|987654321.1780000001|1", "987654321.1780000001"),
    ],
)
def test_parts_that_are_sent_on_are_identifiers(tmp_path, held, sent):
    one = page(f"https://partner.test/?u={sent}", value=held)
    assert {(s, t) for s, t, _, _ in found(tmp_path / "r", one)} == {
        ("tracker.test", "partner.test")
    }


def test_base64_in_a_path_is_read(tmp_path):
    inner = base64.b64encode(json.dumps({"id": UID}).encode()).decode()
    one = page(f"https://partner.test/match/{inner}/1.gif")
    assert found(tmp_path / "r", one) == {("tracker.test", "partner.test", "base64", "url")}


def test_a_network_address_is_no_identifier(tmp_path):
    for number, address in enumerate(("203.0.113.178", "2001:db8:7a3f:19::c4e1")):
        one = page(f"https://partner.test/?ip={quote(address)}", value=address)
        assert not found(tmp_path / str(number), one)


def test_an_exchange_is_searched_in_a_fraction_of_a_millisecond():
    r = random.Random(1)
    known = [Identifier(f"s{n}.test", "uid", f"{r.getrandbits(128):032x}") for n in range(500)]
    index = Index(known)
    urls = [
        f"https://t.test/a/b?x={r.getrandbits(64):x}&y={r.getrandbits(128):032x}&id={one.value}"
        for one in known
    ]
    begun = time.process_time()
    hits = [index.search(url) for url in urls]
    assert all(len(hit) == 1 for hit in hits)
    assert (time.process_time() - begun) / len(urls) < 0.001


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=300))
def test_any_text_unfolds_and_is_searched_without_error(text):
    assert next(unfold(text))[0] == text
    assert Index([Identifier("a.test", "uid", UID)]).search(text + f" {UID} ")
    is_random(text, START)


@pytest.mark.parametrize(
    "entries", [None, "x", [1, None, {}, {"request": 5}, {"request": {"url": "http://["}}]]
)
def test_a_har_of_odd_shape_has_no_syncs(tmp_path, entries):
    one = page("https://a.test/")
    one.requests = entries
    assert not found(tmp_path / "r", one)
