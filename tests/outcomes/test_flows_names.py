"""Every connection and every question, with what only the capture shows of them."""

from captures_kit import ECHO, SERVER, START, Talk, lookup, question, secure, udp
from recordings_kit import SKILL, Staged, record

from echoaudit.outcomes import endpoints, flows, names

SESSION = "fashion-1/sessions/01-shoes"


def test_a_connection_has_what_the_capture_shows_of_it(tmp_path):
    talk = secure("api.acmeshoes.example")
    recording = record(tmp_path / "r", Staged(SESSION, packets=talk.packets))
    (row,) = flows.derive(recording).to_dict("records")
    assert [row[name] for name in ("session", "account", "persona", "kind", "skill")] == [
        SESSION, "fashion-1", "fashion", "session", SKILL,
    ]  # fmt: skip
    assert (row["client"], row["server"], row["server_port"], row["protocol"]) == (
        ECHO, SERVER, 443, "tcp",
    )  # fmt: skip
    assert (row["host"], row["sni"], row["witness"]) == ("api.acmeshoes.example",) * 2 + ("sni",)
    assert row["ja4"].startswith("t13d")
    assert (row["tls"], row["ech"], row["quic"], row["local"]) == ("TLS 1.3", False, "", False)
    (known,) = endpoints.derive(recording).to_dict("records")
    assert row["packets_up"] + row["packets_down"] == known["packets"]
    for name in ("bytes_up", "bytes_down", "payload_up", "payload_down", "first", "last"):
        assert row[name] == known[name], name


def test_each_connection_is_a_row_and_neighbours_are_local(tmp_path):
    first = Talk(start=START).open().send(True, b"hello").close()
    again = Talk(start=START + 9, port=40001).open()
    steps = [
        Staged(SESSION, packets=[*first.packets, *again.packets, *lookup("shoe.example")]),
        Staged("fashion-1/sessions/02-shoes"),
        Staged("fashion-1/sessions/03-shoes", packets=first.packets),
    ]
    table = flows.derive(record(tmp_path / "r", *steps))
    table["short"] = table["session"].str[-8:]
    assert list(table[["short", "client_port", "local"]].itertuples(index=False, name=None)) == [
        ("01-shoes", 50000, True), ("01-shoes", 40000, False), ("01-shoes", 40001, False),
        ("03-shoes", 40000, False),
    ]  # fmt: skip
    assert list(table["state"][1:3]) == ["closed", "established"]
    assert list(table["host"][:3]) == ["", "shoe.example", "shoe.example"]
    assert list(table["witness"]) == ["none", "dns", "dns", "earlier-dns"]


def test_questions_with_and_without_answers_and_in_a_log_alone(tmp_path):
    packets = [
        *lookup("shoe.example", through=("cdn.example",)),
        *lookup("gone.example", rcode=3, time=START + 1, port=50001, number=8),
        udp(True, question("silent.example", "AAAA", 9), port=50002, time=START + 2),
    ]
    log = [
        {"time": START + 20, "event": "query", "name": "late.example", "client": ECHO, "id": 1,
         "answer": None},
        {"time": START + 20, "event": "reply", "name": "late.example", "client": ECHO, "id": 1,
         "answer": "203.0.113.9"},
    ]  # fmt: skip
    table = names.derive(record(tmp_path / "r", Staged(SESSION, packets=packets, names=log)))
    rows = {row["question"]: row for row in table.to_dict("records")}
    assert set(rows) == {"shoe.example", "gone.example", "silent.example", "late.example"}
    told = ("type", "transport", "answered", "addresses", "chain")
    assert [rows["shoe.example"][name] for name in told] == [
        "A", "udp", True, SERVER, "cdn.example",
    ]  # fmt: skip
    assert rows["gone.example"]["rcode"] == 3
    silent = table[table["question"] == "silent.example"].iloc[0]
    assert (silent["type"], silent["answered"]) == ("AAAA", False)
    assert silent.isna()["rcode"]
    assert [rows["late.example"][name] for name in told] == ["", "log", True, "203.0.113.9", ""]


def test_a_recording_without_sessions_has_empty_tables(tmp_path):
    recording = record(tmp_path / "r")
    assert flows.derive(recording).empty
    assert names.derive(recording).empty
