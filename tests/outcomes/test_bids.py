"""The outcome ``bids``: one row per bid request, hostile values kept out."""

from __future__ import annotations

import pytest
from visits_kit import Page, record

from echoaudit.errors import BadInput
from echoaudit.outcomes import bids

BID = {
    "time": 1_790_000_000.5, "instance": "pbjs", "frame": "https://www.news.test/",
    "auction": "A1", "slot": "top", "bidder": "ix", "state": "bid", "forced": False,
    "cpm": 1.25, "currency": "USD", "size": "300x250", "latency_ms": 120, "creative": "c1",
    "advertiser_domains": ["shoes.example", "brand.example"], "deal": None,
}  # fmt: skip


def derive(folder, *records):
    return bids.derive(record(folder, Page("fashion-1", bids=list(records))))


def test_a_bid_is_a_row_with_its_visit(tmp_path):
    table = derive(tmp_path / "r", BID)
    row = table.iloc[0].to_dict()
    assert (row["visit"], row["account"], row["persona"]) == (
        "fashion-1/visits/a1-news",
        "fashion-1",
        "fashion",
    )
    assert (row["phase"], row["round"], row["site"], row["slot"]) == ("after", 1, "news", "top")
    assert (row["cpm"], row["cpm_usd"], row["state"]) == (1.25, 1.25, "bid")
    assert row["advertiser"] == "brand.example,shoes.example"
    assert list(table.columns) == bids.TABLE.names


def test_no_bids_are_rows_without_a_price(tmp_path):
    none = {**BID, "state": "no-bid", "cpm": None, "currency": None, "size": None}
    table = derive(tmp_path / "r", none)
    assert table["cpm"].isna().all()
    assert list(table["state"]) == ["no-bid"]


def test_prices_in_other_currencies_are_not_taken_for_dollars(tmp_path):
    row = derive(tmp_path / "r", {**BID, "currency": "eur"}).iloc[0]
    assert (row["cpm"], row["currency"]) == (1.25, "EUR")
    assert row.isna()["cpm_usd"]


def test_the_server_is_the_first_whose_request_carries_the_requests_id(tmp_path):
    page = Page(
        "fashion-1", bids=[{**BID, "request": id_} for id_ in ("2ab1c9", "77d0e2", "99f3a1")]
    )
    page.ask("https://fast.exchange.test/bid?id=2ab1c9")
    page.ask("https://other.test/log?id=2ab1c9")
    page.ask("https://hb.second.test/ortb", body='{"imp": [{"id": "77d0e2"}]}')
    table = bids.derive(record(tmp_path / "r", page))
    assert sorted(table["server"]) == ["", "exchange.test", "second.test"]


RATES = {"date": "2026-11-20", "source": "a bank", "usd": {"EUR": 1.08}}


def test_prices_become_dollars_by_the_rates_that_the_recording_states(tmp_path):
    page = Page("fashion-1", bids=[BID, *({**BID, "currency": code} for code in ("EUR", "JPY"))])
    table = bids.derive(record(tmp_path / "r", page, config={"rates": RATES}))
    rows = table.set_index("currency")
    assert rows["cpm_usd"].to_dict() == pytest.approx(
        {"USD": 1.25, "EUR": 1.35, "JPY": float("nan")}, nan_ok=True
    )
    assert rows.loc["EUR", "rate"] == 1.08


def test_rates_of_an_odd_shape_are_refused(tmp_path):
    recording = record(tmp_path / "r", Page("fashion-1"), config={"rates": {"usd": {"EUR": -1}}})
    with pytest.raises(BadInput, match="rates"):
        bids.derive(recording)


def test_a_row_says_whose_identifiers_went_along(tmp_path):
    sent = {**BID, "deal": "D1", "user_ids": ["sharedId"], "timeout_ms": 800,
            "eids": [{"source": "id.example", "ids": ["sha256:0011"]}, None]}  # fmt: skip
    row = derive(tmp_path / "r", sent).iloc[0]
    assert (row["id_systems"], row["user_ids"]) == ("id.example,sharedId", "sha256:0011")
    assert (row["deal"], row["timeout_ms"]) == ("D1", 800)


@pytest.mark.parametrize("cpm", ["1.5", "x" * 100_000, -1, 1e9, 10**400, True, [1], {"a": 1}, None])
def test_a_price_that_cannot_be_one_is_missing_not_zero(tmp_path, cpm):
    table = derive(tmp_path / "r", {**BID, "cpm": cpm})
    assert table["cpm"].isna().all()
    assert table["cpm_usd"].isna().all()
    assert list(table["state"]) == ["bid"]


def test_hostile_texts_are_one_short_line(tmp_path):
    odd = {**BID, "bidder": "\x1b[31mred\nnext" + "x" * 5000, "size": "<b>", "creative": 7,
           "state": "great", "advertiser_domains": "none", "latency_ms": -5}  # fmt: skip
    row = derive(tmp_path / "r", odd).iloc[0]
    assert row["bidder"].isprintable()
    assert len(row["bidder"]) <= 200
    assert (row["size"], row["creative"], row["state"], row["advertiser"]) == ("", "", "error", "")
    assert row.isna()["latency_ms"]


def test_a_visit_without_bids_has_no_rows_and_the_table_keeps_its_types(tmp_path):
    table = derive(tmp_path / "r")
    assert table.empty
    assert table["cpm"].dtype == "float64"


@pytest.mark.parametrize("content", [{"not": "a list"}, ["not an object"]])
def test_a_damaged_file_is_named(tmp_path, content):
    recording = record(tmp_path / "r", Page("fashion-1", bids=content))
    with pytest.raises(BadInput, match=r"bids\.json"):
        bids.derive(recording)
