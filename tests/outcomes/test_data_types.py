"""What left decrypted devices: each kind of data, however it was packed, and who received it."""

import base64
import gzip
import hashlib
import json
import random
import zlib
from urllib.parse import quote

import pytest
import zstandard
from captures_kit import ECHO, ECHO_MAC, SERVER, START, Talk
from recordings_kit import SKILL, Staged, record

from echoaudit.outcomes import data_types, decrypted, endpoints
from echoaudit.recording import redact

SESSION = "fashion-1/sessions/01-shoes"
SAID = "Alexa, ask Shoe Talk what to wear."
WORDS = "ask shoe talk what to wear"
WAV = b"RIFF\x24\x10\x00\x00WAVEfmt " + bytes(range(256)) * 4


def exchange(host="api.acmeshoes.example", url="/", body=b"", headers=(), **more):
    return {
        "kind": "http",
        "time": START + 1,
        "client": ECHO,
        "client_port": 40000,
        "server": SERVER,
        "server_port": 443,
        "sni": host,
        "host": host,
        "url": f"https://{host}{url}",
        "method": "POST",
        "headers": [list(pair) for pair in headers],
        "body": base64.b64encode(body).decode(),
        "cut": False,
        **more,
    }


def staged(*exchanges, step=SESSION, **more):
    found = Staged(step, **more)
    found.files["proxy.jsonl"] = b"".join(json.dumps(e).encode() + b"\n" for e in exchanges)
    found.files["transcript.json"] = json.dumps([{"purpose": "converse", "text": SAID}]).encode()
    return found


def table(folder, *exchanges, **more):
    return data_types.derive(record(folder / "r", staged(*exchanges, **more)))


def found(folder, *exchanges):
    """Kinds of data with place, form, field, encoding and basis."""
    columns = ["data_type", "place", "form", "field", "encoding", "basis"]
    return set(table(folder, *exchanges)[columns].itertuples(index=False, name=None))


def kinds(folder, *exchanges):
    return set(table(folder, *exchanges)["data_type"])


def as_json(**values):
    return exchange(
        body=json.dumps(values).encode(), headers=[("Content-Type", "application/json")]
    )


def test_one_row_with_all_its_facts(tmp_path):
    rows = table(tmp_path, as_json(context={"deviceSerialNumber": "G0XYZ123456789AB"}))
    (row,) = rows.to_dict("records")
    assert (row["session"], row["account"], row["persona"], row["kind"], row["skill"]) == (
        SESSION, "fashion-1", "fashion", "session", SKILL,
    )  # fmt: skip
    assert (row["host"], row["address"], row["party"]) == (
        "api.acmeshoes.example", SERVER, "vendor",
    )  # fmt: skip
    assert (row["data_type"], row["place"], row["form"], row["field"]) == (
        "device id", "body", "json", "context/deviceSerialNumber",
    )  # fmt: skip
    assert (row["encoding"], row["basis"]) == ("plain", "name")
    assert row["value"] == redact("G0XYZ123456789AB")
    assert (row["values"], row["requests"], row["first"]) == (1, 1, START + 1)


def hashed(name, text):
    return hashlib.new(name, text.encode()).hexdigest()


@pytest.mark.parametrize(
    ("written", "encoding"),
    [
        (ECHO_MAC, "plain"),
        (ECHO_MAC.upper().replace(":", "-"), "plain"),
        (ECHO_MAC.replace(":", ""), "plain"),
        (base64.b64encode(ECHO_MAC.encode()).decode(), "base64"),
        (quote(ECHO_MAC, safe=""), "url"),
        (ECHO_MAC.encode().hex(), "hex"),
        (hashed("md5", ECHO_MAC), "md5"),
        (hashed("sha1", ECHO_MAC.upper()), "sha1"),
        (hashed("sha256", ECHO_MAC.replace(":", "")).upper(), "sha256"),
    ],
)
def test_the_devices_address_is_found_however_it_is_written(tmp_path, written, encoding):
    expected = ("device id", "body", "json", "x", encoding, "known")
    assert found(tmp_path, as_json(x=f"a {written}, b")) == {expected}


@pytest.mark.parametrize(
    ("written", "encoding"),
    [
        (SAID, "plain"),
        (WORDS, "plain"),
        ("so: ASK Shoe-Talk what to wear?!", "plain"),
        (quote(WORDS), "url"),
        (base64.b64encode(WORDS.encode()).decode(), "base64"),
        (hashed("md5", WORDS), "md5"),
        (hashed("sha256", SAID), "sha256"),
    ],
)
def test_what_was_said_is_found_whatever_its_spelling(tmp_path, written, encoding):
    expected = ("transcript", "body", "json", "q", encoding, "known")
    assert found(tmp_path, as_json(q=written)) == {expected}


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("customerId", "A2X7KQ9LM3", "customer id"),
        ("x", "amzn1.ask.account.AEAZ7QW", "customer id"),
        ("x", "amzn1.ask.skill.1f2e-77aa", "skill id"),
        ("x", "amzn1.ask.device.AEQQ17", "device id"),
        ("utterance_text", "something else", "transcript"),
        ("locale", "de-DE", "language"),
        ("timeZone", "+02:00", "time zone"),
        ("x", "America/Argentina/Salta", "time zone"),
        ("temperatureUnit", "CELSIUS", "preferences"),
        ("playerActivity", "PLAYING", "device events"),
        ("x", "PlaybackNearlyFinished", "device events"),
        ("postal-code", "90210", "location"),
        ("x", "jo.doe+shop@mail.example", "contact data"),
        ("phoneNumber", "+1 555 0100", "contact data"),
        ("accessToken", "0123456789abcdef", "customer id"),
        ("x-amz-token", "Atza|IwEBIExample12", "customer id"),
        ("token", "Bearer Atna|0123456789abcdef", "customer id"),
    ],
)
def test_names_of_fields_and_forms_of_values_tell_kinds(tmp_path, name, value, kind):
    assert kinds(tmp_path, as_json(**{name: value})) == {kind}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("locale", "nothing of the sort"),
        ("customerId", ""),
        ("customerId", None),
        ("x", "europe/berlin is lovely"),
        ("mail", "not an address @ all"),
        ("skill", "stop"),
        ("text", "ask shoe"),
        ("x", "0" * 40),
        ("token", "song:0123456789abcdef"),
        ("token", "First Audio File, 2nd part"),
        ("token", "1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed#0"),
    ],
)
def test_other_values_tell_nothing(tmp_path, name, value):
    assert kinds(tmp_path, as_json(**{name: value})) == set()


def multipart(*parts):
    lines = [b"--b0\r\nContent-Disposition: form-data; name=%s%s\r\n\r\n%s\r\n" % p for p in parts]
    return exchange(
        body=b"".join(lines) + b"--b0--\r\n",
        headers=[("content-type", 'multipart/form-data; boundary="b0"')],
    )


def test_a_voice_request_gives_recording_transcript_and_identifiers(tmp_path):
    metadata = {"token": "Atna|0123456789abcdef", "transcript": WORDS, "command": f"open:{SKILL}"}
    event = multipart(
        (b'"metadata"', b"\r\nContent-Type: application/json", json.dumps(metadata).encode()),
        (b'"audio"', b'; filename="audio.wav"\r\nContent-Type: audio/wav', WAV),
    )
    assert found(tmp_path, event) == {
        ("customer id", "body", "multipart json", "metadata/token", "plain", "name"),
        ("transcript", "body", "multipart json", "metadata/transcript", "plain", "known"),
        ("skill id", "body", "multipart json", "metadata/command", "plain", "known"),
        ("voice recording", "body", "multipart", "audio", "plain", "sound"),
    }


def test_sound_is_found_by_its_bytes_and_in_base64(tmp_path):
    raw = exchange(body=WAV, headers=[("Content-Type", "application/octet-stream")])
    packed = as_json(clip=base64.b64encode(WAV).decode())
    raw_pcm = multipart((b'"audio"', b"\r\nContent-Type: application/octet-stream", bytes(5000)))
    for number, each in enumerate((raw, packed, raw_pcm)):
        (tmp_path / str(number)).mkdir()
        assert kinds(tmp_path / str(number), each) == {"voice recording"}
    assert kinds(tmp_path, exchange(body=b"\xff\xf1" + random.Random(1).randbytes(5000))) == set()


def raw_deflate(data):
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize(
    ("coding", "pack"),
    [
        ("gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("deflate", raw_deflate),
        ("zstd", zstandard.compress),
        ("zstd, gzip", lambda data: gzip.compress(zstandard.compress(data))),
    ],
)
def test_compressed_bodies_are_read(tmp_path, coding, pack):
    body = pack(json.dumps({"uid": "user-7731"}).encode())
    packed = exchange(body=body, headers=[("content-encoding", coding)])
    (row,) = found(tmp_path, packed)
    assert row[:4] == ("customer id", "body", " ".join([*coding.split(", ")[::-1], "json"]), "uid")


def test_gzip_is_known_by_its_bytes_too(tmp_path):
    (row,) = found(tmp_path, exchange(body=gzip.compress(b'{"uid":"user-7731"}')))
    assert row[2] == "gzip json"


def delimited(number, content):
    assert len(content) < 128
    return bytes([number << 3 | 2, len(content)]) + content


def test_protobuf_like_messages_are_taken_apart(tmp_path):
    inner = delimited(1, ECHO_MAC.encode()) + delimited(2, b"jo@mail.example")
    message = b"\x08\x96\x01" + delimited(3, inner) + b"\x25\x00\x00\x00\x01"
    framed = b"\x00" + len(message).to_bytes(4, "big") + message
    direct = found(tmp_path, exchange(body=message))
    (tmp_path / "grpc").mkdir()
    grpc = exchange(body=framed, headers=[("content-type", "application/grpc")])
    assert {(row[0], row[2], row[3]) for row in direct} == {
        ("device id", "protobuf text", "3/1"),
        ("contact data", "protobuf text", "3/2"),
    }
    assert {row[2] for row in found(tmp_path / "grpc", grpc)} == {"grpc protobuf text"}


def test_urls_headers_cookies_forms_and_messages_are_read(tmp_path):
    asked = exchange(
        url=f"/skills/{SKILL}/play?lat=40.71&tz=America%2FLima",
        headers=[
            ("Accept-Language", "en-US,en;q=0.5"),
            ("Cookie", f"a=1; session={hashed('md5', ECHO_MAC)}"),
            ("Authorization", "Bearer Atza|IwEBIExample12"),
        ],
        body=b"email=jo%40mail.example&v=1",
    )
    talk = exchange(kind="websocket", messages=[
        {"time": START, "body": base64.b64encode(b'{"volume": 40}').decode()},
    ])  # fmt: skip
    assert {row[:4] for row in found(tmp_path, asked, talk)} == {
        ("skill id", "url", "path", ""),
        ("location", "url", "query", "lat"),
        ("time zone", "url", "query", "tz"),
        ("language", "header", "", "accept-language"),
        ("device id", "header", "cookie", "cookie/session"),
        ("customer id", "header", "", "authorization"),
        ("contact data", "body", "form", "email"),
        ("device events", "message", "json", "volume"),
    }


def test_what_plays_is_nobodys_id_where_its_media_are_fetched(tmp_path):
    item = "episode-0123456789abcdef"
    event = {"payload": {"token": item, "offsetInMilliseconds": 10}}
    media = exchange("t.podtrac.com", f"/m/{item}.mp3?token={item}")
    rows = table(tmp_path, as_json(event=event, context=event), media)
    assert set(rows["data_type"]) == {"device events"}
    assert set(rows["host"]) == {"api.acmeshoes.example"}


INNER = json.dumps({"locale": "de-DE", "deviceSerialNumber": "G0XYZ123456789AB"})


def in_query(value):
    return exchange(url=f"/?data={quote(value, safe='')}")


def in_form(value):
    return exchange(body=f"v=1&data={quote(value, safe='')}".encode())


def in_json(value):
    return as_json(data=value)


def in_header(value):
    return exchange(headers=[("Data", value)])


def in_cookie(value):
    return exchange(headers=[("Cookie", f"a=1; data={value}")])


def as_body(value):
    return exchange(body=value.encode())


def as_part(value):
    return multipart((b'"data"', b"", value.encode()))


def base64_of(data, encode=base64.b64encode):
    return encode(data if isinstance(data, bytes) else data.encode()).decode()


WRITTEN = {
    "json": (INNER, "plain"),
    "lines": (json.dumps(json.loads(INNER), indent=1), "plain"),
    "form": ("locale=de-DE&deviceSerialNumber=G0XYZ123456789AB", "plain"),
    "url": (quote(INNER, safe=""), "url"),
    "base64": (base64_of(INNER), "base64"),
    "bare base64": (base64_of(INNER).rstrip("="), "base64"),
    "lines in base64": (base64_of(json.dumps(json.loads(INNER), indent=1)), "base64"),
    "form in base64": (base64_of("locale=de-DE&deviceSerialNumber=G0XYZ123456789AB"), "base64"),
    "base64 in url": (quote(base64_of(INNER + "  "), safe=""), "base64"),
    "base64url": (
        base64_of(INNER[:-1] + ',"\u00ff?":"\u00fb\u00ff"}', base64.urlsafe_b64encode), "base64url",
    ),
    "hex": (INNER.encode().hex(), "hex"),
    "gzip": (base64_of(gzip.compress(INNER.encode(), mtime=0)), "base64"),
    "jwt": (f"eyJhbGciOiJub25lIn0.{base64_of(INNER).rstrip('=')}.c2ln", "jwt"),
    "twice": (base64_of(base64_of(INNER)), "base64"),
}  # fmt: skip


@pytest.mark.parametrize("written", WRITTEN)
@pytest.mark.parametrize(
    ("put", "form"),
    [(in_query, "query"), (in_form, "form"), (in_json, ""), (in_header, ""), (in_cookie, "cookie"),
     (as_body, ""), (as_part, "multipart")],
)  # fmt: skip
def test_json_and_forms_in_a_value_are_taken_apart(tmp_path, put, form, written):
    value, encoding = WRITTEN[written]
    if written == "lines" and put in (in_header, in_cookie):
        value = value.replace("\n", " ")
    rows = table(tmp_path, put(value))
    told = {(row["data_type"], row["field"].rpartition("/")[2]) for row in rows.to_dict("records")}
    assert told == {("language", "locale"), ("device id", "deviceSerialNumber")}
    assert {row.split("/")[-2] for row in rows["field"] if "/" in row} <= {"data"}
    assert all(each.startswith(form) for each in rows["form"])
    assert set(rows["encoding"]) == {encoding}
    assert ("gzip" in rows["form"][0]) == (written == "gzip")


def test_a_token_that_is_taken_apart_is_still_told_by_its_field(tmp_path):
    claims = base64_of(json.dumps({"sub": "user-7731", "locale": "de-DE"})).rstrip("=")
    token = f"eyJhbGciOiJub25lIn0.{claims}.c2ln"
    sent = exchange(headers=[("Authorization", f"Bearer {token}")])
    rows = table(tmp_path, sent, exchange("t.podtrac.com", f"/?x={token}"))
    at = {
        (row["host"], row["data_type"], row["field"], row["basis"])
        for row in rows.to_dict("records")
    }
    assert at == {
        ("api.acmeshoes.example", "customer id", "authorization", "name"),
        ("api.acmeshoes.example", "language", "authorization/locale", "name"),
        ("t.podtrac.com", "customer id", "x", "seen"),
        ("t.podtrac.com", "language", "x/locale", "name"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("location", f"hall, {ECHO_MAC}", {"device id", "location"}),
        ("x", f"{ECHO_MAC} jo@mail.example", {"device id", "contact data"}),
        ("timeZone", "Europe/Berlin", {"time zone"}),
        ("preferences", f"{WORDS} in Lima", {"transcript", "preferences"}),
        ("uid", f"echo:{ECHO_MAC}", {"device id"}),
        ("location", ECHO_MAC.upper(), {"device id"}),
        ("applicationId", SKILL, {"skill id"}),
    ],
)
def test_a_known_value_hides_no_other_kind_beside_it(tmp_path, name, value, expected):
    assert kinds(tmp_path, as_json(**{name: value})) == expected


def test_json_in_json_and_lines_of_json_are_read(tmp_path):
    inner = json.dumps({"event": json.dumps({"dsn": "G0XYZ123456789AB"})})
    lines = exchange(body=f'{{"a": 1}}\n{{"b": {json.dumps(inner)}}}\n'.encode())
    assert {row[3] for row in found(tmp_path, lines)} == {"b/event/dsn"}


def test_an_identifier_told_by_one_field_is_found_in_others(tmp_path):
    serial = "G0XYZ123456789AB"
    to_tracker = exchange("t.podtrac.com", f"/p?h={hashed('sha1', serial)}")
    rows = table(tmp_path, as_json(serialNumber=serial), to_tracker)
    by_host = {row["host"]: row for row in rows.to_dict("records")}
    tracker = by_host["t.podtrac.com"]
    assert (tracker["data_type"], tracker["encoding"], tracker["basis"]) == (
        "device id", "sha1", "seen",
    )  # fmt: skip
    assert tracker["value"] == by_host["api.acmeshoes.example"]["value"] == redact(serial)
    assert (tracker["organisation"], tracker["party"]) == ("Podtrac", "third")


def test_words_as_the_cloud_understood_them_are_found_elsewhere(tmp_path):
    heard = "ask shoe dog what you wear"
    to_tracker = exchange("t.podtrac.com", f"/p?q={base64.b64encode(heard.encode()).decode()}")
    rows = table(tmp_path, as_json(transcript=heard), to_tracker).set_index("host")
    assert rows.loc["t.podtrac.com", "data_type"] == "transcript"
    assert rows.loc["t.podtrac.com", "basis"] == "seen"
    assert rows.loc["t.podtrac.com", "value"] == rows.loc["api.acmeshoes.example", "value"]


def test_values_and_telling_names_are_never_shown(tmp_path):
    odd = {ECHO_MAC: {"uid": "user-7731"}, "jo@mail.example": {"uid": "user-7731"}}
    rows = table(tmp_path, as_json(**odd, said=SAID))
    shown = rows.to_csv()
    for secret in (ECHO_MAC, "user-7731", "jo@mail", "shoe talk", "Shoe Talk"):
        assert secret not in shown
    assert set(rows["field"]) == {f"{redact(name)}/uid" for name in odd} | {"said"}


def test_requests_of_the_same_kind_are_one_row_that_counts(tmp_path):
    many = [as_json(uid=f"user-773{n % 3}") for n in range(7)]
    (row,) = table(tmp_path, *many).to_dict("records")
    assert (row["requests"], row["values"]) == (7, 3)


def test_random_bytes_hold_nothing(tmp_path):
    chance = random.Random(7)
    blobs = [exchange(body=chance.randbytes(chance.randrange(1, 3000))) for _ in range(200)]
    assert table(tmp_path, *blobs).empty


def test_what_could_not_be_read_is_counted(tmp_path):
    bomb = gzip.compress(bytes(40 * 2**20))
    recording = record(
        tmp_path / "r",
        staged(
            as_json(uid="user-7731"),
            exchange(body=b"x", headers=[("content-encoding", "br")]),
            exchange(body=b"\x1f\x8bdamaged"),
            exchange(body=bomb),
            exchange(cut=True),
            {"kind": "refused", "sni": "pinned.example", "server": SERVER},
            {"kind": "passed", "sni": "pinned.example", "server": SERVER, "learned": {}},
        ),
        Staged("fashion-1/sessions/02-shoes"),
        staged(as_json(uid="user-7731"), step="fashion-1/sessions/03-shoes"),
    )
    rows = decrypted.derive(recording).set_index("session")
    first = rows.loc[SESSION]
    assert (first["status"], first["exchanges"], first["refused"], first["unread"]) == (
        "partial", 5, 1, 4,
    )  # fmt: skip
    assert first["refused_hosts"] == "pinned.example"
    assert "content coding br: 1" in first["problem"]
    assert "damaged gzip: 1" in first["problem"]
    assert "let by after refusals, pinned.example: 1" in first["problem"]
    assert rows.loc["fashion-1/sessions/02-shoes", "status"] == "sealed"
    assert rows.loc["fashion-1/sessions/03-shoes", "status"] == "open"


def test_hostile_exchanges_do_no_harm(tmp_path):
    chance = random.Random(3)
    deep = b"[" * 90 + b"]" * 90
    nested = b"x"
    for _ in range(30):
        nested = gzip.compress(nested)
    odd = [
        [], {"kind": 7}, {"kind": "http"}, exchange(url="\ud800?%ff=%zz&" + "a&" * 60_000),
        {**exchange(), "headers": [["a"], 7, ["cookie", None]], "messages": [3], "body": "!"},
        exchange(body=nested), exchange(body=deep), exchange(body=b"{" * 5000),
        exchange(body=delimited(1, delimited(1, delimited(1, b"")))),
        exchange(body=b"--b", headers=[("content-type", "multipart/x; boundary=b")]),
        exchange(body=b"\x00\xff\xff\xff\xff", headers=[("content-type", "application/grpc")]),
        as_json(jwt="eyJ" + "A" * 3000 + ".eyJ" + "%" * 4000),
    ]  # fmt: skip
    whole = multipart((b'"audio"', b"", WAV))
    for _ in range(300):
        content = bytearray(base64.b64decode(whole["body"]))
        for _ in range(chance.randrange(1, 20)):
            content[chance.randrange(len(content))] = chance.randrange(256)
        odd.append({**whole, "body": base64.b64encode(bytes(content)).decode()})
    recording = record(tmp_path / "r", staged(*odd))
    assert set(data_types.derive(recording)["data_type"]) <= {"voice recording"}
    assert len(decrypted.derive(recording)) == 1


def test_a_request_names_its_connection(tmp_path):
    talk = Talk(start=START).open().send(True, b"\x17\x03\x03\0\5hello").close()
    flow = exchange("api.acmeshoes.example", client_port=40000)
    (row,) = endpoints.derive(record(tmp_path / "r", staged(flow, packets=talk.packets))).to_dict(
        "records"
    )
    assert (row["host"], row["witness"]) == ("api.acmeshoes.example", "proxy")
