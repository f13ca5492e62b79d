"""Everything a device sent in an exchange, taken apart into single values.

URLs, headers and bodies; bodies in gzip, deflate or zstd, multipart, JSON, forms, protobuf-like
wire format, plain text, or anything else, of which the printable runs are kept. JSON and forms in
a single value, plain or encoded, are taken apart as well (``Reader._value``). What cannot be taken
apart is counted, never passed over in silence.
"""

from __future__ import annotations

import re
import zlib
from base64 import b64decode
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qsl, unquote_to_bytes

from echoaudit.errors import BadInput
from echoaudit.outcomes.exchanges import Exchange, path_and_query
from echoaudit.outcomes.identifiers_decode import hides_more, readable
from echoaudit.recording.jsonfile import parse

MOST_UNPACKED = 16 * 2**20
"""Bytes of a body after decompression."""
MOST_VALUES = 50_000
"""Values of one exchange."""
DEPTH = 8
"""Formats inside each other."""
PIECE, OVERLAP = 48 * 1024, 1024
"""Characters of long texts that are looked at together."""
SHORTEST_OPENED = 7
"""Characters of a value that may be JSON or a form."""
ENCODINGS = 3
"""Encodings of a value inside each other."""
GZIP = b"\x1f\x8b"
SHORTEST_SOUND = 256
"""Bytes; less is a header without sound."""

_UNSAID = ("host", "content-length", "content-type", "content-encoding", "connection", "accept-enc")
"""Beginnings of the names of headers that only describe the message itself."""
_SOUND = re.compile(
    rb"RIFF.{4}WAVE|fLaC|OggS|ID3[\x02-\x04]|#!AMR|\xff[\xf1\xf9\xfb\xf3]", re.DOTALL
)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_RUNS = re.compile(rb"[\x20-\x7e]{6,}")
_FORM = re.compile(r"[\w.%+~\[\]-]{1,100}=[^&\s]*(?:&[\w.%+~\[\]-]{1,100}=[^&\s]*)*")
_BASE64_SOUND = re.compile(r"[A-Za-z0-9+/]{340,}={0,2}")
_JWT = re.compile(r"(?:[A-Za-z]{1,20} )?eyJ[\w-]+\.(eyJ[\w-]+)\.[\w-]*")
_HEX = re.compile(r"(?:[0-9A-Fa-f]{2}){8,}")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{12,}={0,2}")
_PARAMETER = re.compile(r';\s*([\w-]+)\*?=(?:"([^"]*)"|([^;\s]*))')


@dataclass(frozen=True, slots=True)
class Leaf:
    """One value that was sent."""

    place: str
    """``url``, ``header``, ``body`` or ``message``."""
    form: str
    """What it was taken out of, from outside in: ``gzip multipart json``."""
    names: tuple[str, ...]
    """Names of the fields around it, from outside in; none where it had none."""
    text: str
    sound: bytes = b""
    """A sound file; the text is then empty."""
    encoding: str = "plain"
    """What hid the value that it was taken out of."""
    opened: bool = False
    """Whether other leaves hold what this one encodes: only its field's name and itself count."""


@dataclass
class Reader:
    """Takes exchanges apart; counts what it could not."""

    unread: Counter[str] = field(default_factory=Counter)

    def leaves(self, exchange: Exchange) -> list[Leaf]:
        """All values of an exchange, at most ``MOST_VALUES``."""
        if not exchange.whole:
            self.unread["longer than was kept"] += 1
        found: list[Leaf] = []
        for leaf in self._all(exchange):
            if len(found) == MOST_VALUES:
                self.unread[f"more than {MOST_VALUES} values"] += 1
                break
            found.append(leaf)
        return found

    def _all(self, exchange: Exchange) -> Iterator[Leaf]:
        path, query = path_and_query(exchange.url)
        if len(path) > 1:
            yield Leaf("url", "path", (), path)
        for name, value in _pairs(query):
            yield from self._value(Body("url", b"", names=(name,)), "query", value)
        for name, value in exchange.headers:
            if not name.startswith(_UNSAID):
                yield from self._header(name, value)
        headers = dict(exchange.headers)
        if exchange.body:
            unpacked = self._unpacked(exchange.body, headers.get("content-encoding", ""))
            if unpacked is not None:
                kind = headers.get("content-type", "")
                yield from self._body(Body("body", *unpacked, kind))
        for message in exchange.messages:
            yield from self._body(Body("message", message.body))

    def _header(self, name: str, value: str) -> Iterator[Leaf]:
        if name != "cookie":
            yield from self._value(Body("header", b"", names=(name,)), "", value)
            return
        for pair in value.split(";"):
            key, _, content = pair.strip().partition("=")
            yield from self._value(Body("header", b"", names=(name, key)), "cookie", content)

    def _value(self, body: Body, form: str, text: str) -> Iterator[Leaf]:
        """A single value; one that is JSON or a form, plain or encoded, is taken apart."""
        bare = text.strip()
        if len(body.forms) >= DEPTH or len(bare) < SHORTEST_OPENED:
            yield from body.values(form, (), text)
            return
        outer = replace(body, kind="", forms=(*body.forms, form) if form else body.forms)
        if structured(bare):
            yield from self._text(outer, bare)
            return
        packed = opened(bare)
        if packed is None:
            yield from body.values(form, (), text)
            return
        data, encoding = packed
        for leaf in body.values(form, (), text):
            yield replace(leaf, opened=True)
        hidden = replace(outer, encoding=hides_more(body.encoding, encoding), data=data)
        if data.startswith(GZIP):
            yield from self._body(hidden)
        else:
            yield from self._text(hidden, data.decode("utf-8"))

    # --- bodies -------------------------------------------------------------------------------

    def _unpacked(self, data: bytes, codings: str) -> tuple[bytes, tuple[str, ...]] | None:
        """A body without its content codings, and these; nothing when one is unknown."""
        undone: list[str] = []
        for coding in reversed([c.strip().lower() for c in codings.split(",") if c.strip()]):
            if coding == "identity":
                continue
            undone.append(coding)
            try:
                data = decompress(data, coding)
            except ValueError as error:
                self.unread[str(error)] += 1
                return None
        return data, tuple(undone)

    def _body(self, body: Body) -> Iterator[Leaf]:
        """Take a body apart by what it says it is, else by what it looks like."""
        if len(body.forms) > DEPTH:
            self.unread[f"more than {DEPTH} formats inside each other"] += 1
        elif body.data.startswith(GZIP):
            unpacked = self._unpacked(body.data, "gzip")
            if unpacked is not None:
                yield from self._body(body.inside("gzip", unpacked[0]))
        elif is_sound(body):
            yield Leaf(body.place, " ".join(body.forms), body.names, "", body.data)
        elif body.boundary:
            for part in _multipart(body):
                yield from self._body(part)
        elif body.kind.startswith("application/grpc"):
            for message in _grpc(body.data):
                inner = body.inside("grpc", message)
                yield from self._body(replace(inner, kind="application/protobuf"))
        else:
            yield from self._plain(body)

    def _plain(self, body: Body) -> Iterator[Leaf]:
        try:
            text = body.data.decode("utf-8")
        except UnicodeDecodeError:
            text = ""
        if text and not _CONTROL.search(text) and "protobuf" not in body.kind:
            yield from self._text(body, text)
            return
        fields = list(protobuf(body.data))
        if fields:
            for names, content in fields:
                inner = replace(body.inside("protobuf", content), kind="", names=body.names + names)
                yield from self._field(inner)
            return
        for run in _RUNS.finditer(body.data):
            yield from body.values("binary", (), run[0].decode("ascii"))

    def _field(self, body: Body) -> Iterator[Leaf]:
        """A protobuf-like field that is no message itself."""
        if is_sound(body) or body.data.startswith(GZIP):
            yield from self._body(body)
            return
        try:
            yield from self._text(body, body.data.decode("utf-8"))
        except UnicodeDecodeError:
            for run in _RUNS.finditer(body.data):
                yield from body.values("binary", (), run[0].decode("ascii"))

    def _text(self, body: Body, text: str) -> Iterator[Leaf]:
        bare = text.strip()
        values = _json(bare)
        if values:
            for value in values:
                for names, leaf in walk(value):
                    yield from self._json_leaf(body, names, leaf)
        elif body.kind.startswith("application/x-www-form-urlencoded") or _is_form(bare):
            for name, value in _pairs(bare):
                yield from self._value(replace(body, names=(*body.names, name)), "form", value)
        else:
            yield from self._value(body, "text", text)

    def _json_leaf(self, body: Body, names: tuple[str, ...], text: str) -> Iterator[Leaf]:
        sound = _sound_in(text)
        if sound:
            yield Leaf(body.place, _joined(*body.forms, "json"), body.names + names, "", sound)
        else:
            yield from self._value(replace(body, kind="", names=body.names + names), "json", text)


@dataclass(frozen=True)
class Body:
    """Bytes that were sent, and where they were found."""

    place: str
    data: bytes
    forms: tuple[str, ...] = ()
    kind: str = ""
    """Its media type, as its sender says."""
    names: tuple[str, ...] = ()
    encoding: str = "plain"
    """What hid it within a value."""

    @property
    def boundary(self) -> str:
        """What separates its parts; empty when it has none."""
        if not self.kind.lower().startswith("multipart/"):
            return ""
        return parameters(self.kind).get("boundary", "")

    def inside(self, form: str, data: bytes) -> Body:
        """What a container held."""
        return replace(self, data=data, forms=(*self.forms, form))

    def values(self, form: str, names: tuple[str, ...], text: str) -> Iterator[Leaf]:
        """A value of this body, long ones in pieces that overlap."""
        for start in range(0, max(len(text), 1), PIECE):
            piece = text[start : start + PIECE + OVERLAP]
            yield Leaf(
                self.place,
                _joined(*self.forms, form),
                self.names + names,
                piece,
                encoding=self.encoding,
            )


def _joined(*forms: str) -> str:
    """Formats from outside in; the same again and again is said once."""
    return " ".join(dict.fromkeys(forms))


def decompress(data: bytes, coding: str) -> bytes:
    """Undo a content coding; ``ValueError`` says why that cannot be done."""
    if coding in ("gzip", "x-gzip", "deflate"):
        return _inflated(data, coding)
    if coding == "zstd":
        return _zstd(data)
    known = coding if re.fullmatch(r"[a-z0-9-]{1,20}", coding) else "unknown"
    raise ValueError(f"content coding {known}")


def _inflated(data: bytes, coding: str) -> bytes:
    # "deflate" is zlib's format by RFC 9110, but raw deflate by many a sender.
    for window in (31,) if coding != "deflate" else (15, -15):
        inflater = zlib.decompressobj(window)
        try:
            unpacked = inflater.decompress(data, MOST_UNPACKED)
        except zlib.error:
            continue
        if inflater.unconsumed_tail:
            raise ValueError(f"more than {MOST_UNPACKED} bytes unpacked")
        return unpacked
    raise ValueError(f"damaged {coding}")


def _zstd(data: bytes) -> bytes:
    import zstandard

    try:
        with zstandard.ZstdDecompressor(max_window_size=2**27).stream_reader(data) as stream:
            unpacked: bytes = stream.read(MOST_UNPACKED + 1)
    except zstandard.ZstdError as error:
        raise ValueError("damaged zstd") from error
    if len(unpacked) > MOST_UNPACKED:
        raise ValueError(f"more than {MOST_UNPACKED} bytes unpacked")
    return unpacked


def is_sound(body: Body) -> bool:
    """Whether a body is sound: by its first bytes, its media type, or its name in a form."""
    if len(body.data) < SHORTEST_SOUND:
        return False
    said = body.kind.lower().startswith("audio/") or (body.names[-1:] == ("audio",))
    magic = _SOUND.match(body.data)
    # Two bytes of MPEG sound also begin other data: they count only where sound is announced.
    return said or bool(magic and len(magic[0]) > 2)


def _sound_in(text: str) -> bytes:
    """The sound file that a text holds in base64; empty when it holds none."""
    bare = text.replace("-", "+").replace("_", "/") if "-" in text or "_" in text else text
    if not _BASE64_SOUND.fullmatch(bare):
        return b""
    bare = bare.rstrip("=")
    data = b64decode(bare + "=" * (-len(bare) % 4)) if len(bare) % 4 != 1 else b""
    return data if is_sound(Body("", data)) else b""


def _multipart(body: Body) -> Iterator[Body]:
    """The parts of a multipart body (RFC 2046); lenient about line ends."""
    for raw in body.data.split(b"--" + body.boundary.encode("utf-8", "replace"))[1:]:
        if raw.startswith(b"--"):
            return
        head, found, content = _split_head(raw)
        if not found:
            continue
        headers = _part_headers(head)
        name = parameters(headers.get("content-disposition", "")).get("name", "")
        yield replace(
            body.inside("multipart", content.removesuffix(b"\n").removesuffix(b"\r")),
            kind=headers.get("content-type", ""),
            names=(*body.names, name) if name else body.names,
        )


def _split_head(raw: bytes) -> tuple[bytes, bool, bytes]:
    raw = raw.lstrip(b" \t").removeprefix(b"\r").removeprefix(b"\n")
    for end in (b"\r\n\r\n", b"\n\n"):
        head, found, content = raw.partition(end)
        if found:
            return head, True, content
    return b"", False, b""


def _part_headers(head: bytes) -> dict[str, str]:
    lines = head.decode("utf-8", "replace").splitlines()
    pairs = (line.partition(":") for line in lines[:50])
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def parameters(header: str) -> dict[str, str]:
    """Parameters of a header such as Content-Type."""
    return {m[1].lower(): m[2] or m[3] or "" for m in _PARAMETER.finditer(header[:2000])}


def _grpc(data: bytes) -> Iterator[bytes]:
    """Messages of a gRPC stream: a flag, four bytes of length, the message."""
    place = 0
    while place + 5 <= len(data):
        length = int.from_bytes(data[place + 1 : place + 5], "big")
        yield data[place + 5 : place + 5 + length]
        place += 5 + length


def _is_form(text: str) -> bool:
    # Base64 with its padding would be a field without a value.
    return _FORM.fullmatch(text) is not None and not _BASE64.fullmatch(text)


def structured(text: str) -> bool:
    """Whether a value is JSON, or a form of at least two fields."""
    if text[:1] in ("{", "["):
        return bool(_json(text))
    return "&" in text and _FORM.fullmatch(text) is not None


def opened(text: str, depth: int = ENCODINGS) -> tuple[bytes, str] | None:
    """The JSON, the form or the gzip file that a value is the encoding of, and the encoding.

    The value as a whole must be it: what merely stands in a text is found by its own form. Of a JWT
    (RFC 7519) the claims are taken, with or without a scheme such as ``Bearer`` before it.
    """
    data, encoding = _decoded(text)
    if data.startswith(GZIP) or _structured(data):
        return data, encoding
    if len(data) < SHORTEST_OPENED or not data.isascii() or depth == 1:
        return None
    inner = opened(data.decode("ascii").strip(), depth - 1)
    return inner and (inner[0], hides_more(encoding, inner[1]))


def _decoded(text: str) -> tuple[bytes, str]:
    """What a value is the encoding of, and the encoding; nothing when it is none."""
    if not text.isascii():
        return b"", "plain"
    jwt = _JWT.fullmatch(text)
    if jwt:
        return _unbase64(jwt[1]), "jwt"
    if "%" in text:
        return unquote_to_bytes(text), "url"
    if _HEX.fullmatch(text):
        return bytes.fromhex(text), "hex"
    if _BASE64.fullmatch(text):
        return _unbase64(text), "base64url" if set(text) & set("-_") else "base64"
    return b"", "plain"


def _structured(data: bytes) -> bool:
    try:
        text = data.decode("utf-8").strip()
    except UnicodeDecodeError:
        return False
    return not _CONTROL.search(text) and structured(text)


def _unbase64(text: str) -> bytes:
    bare = text.rstrip("=").replace("-", "+").replace("_", "/")
    return b64decode(bare + "=" * (-len(bare) % 4)) if len(bare) % 4 != 1 else b""


def _pairs(text: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(
            text, keep_blank_values=False, errors="replace", max_num_fields=MOST_VALUES
        )
    except ValueError:
        return [("", text)]


# --- JSON -------------------------------------------------------------------------------------


def _json(text: str) -> list[Any]:
    """The JSON values a text consists of: one, or one a line; none when it is no JSON."""
    if text[:1] not in ("{", "["):
        return []
    for texts in ([text], text.splitlines()):
        try:
            return [parse(each.encode("utf-8")) for each in texts if each.strip()]
        except (BadInput, UnicodeEncodeError):
            continue
    return []


def walk(value: Any, names: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """The single values of a JSON value, with the names that lead there."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from walk(inner, (*names, name))
    elif isinstance(value, list):
        for inner in value:
            yield from walk(inner, names)
    elif isinstance(value, bool):
        yield names, str(value).lower()
    elif value is not None:
        yield names, str(value)


# --- protobuf-like ----------------------------------------------------------------------------


def protobuf(data: bytes, depth: int = 0) -> Iterator[tuple[tuple[str, ...], bytes]]:
    """Length-delimited fields of a message in protobuf's wire format, by their numbers.

    Nothing, unless every byte belongs to a field: most other data does not parse to its end.
    """
    fields = _fields(data)
    for number, content in fields or ():
        inner = list(protobuf(content, depth + 1)) if depth < DEPTH and len(content) > 2 else []
        # A text may look like a message by chance; a message hardly ever like a printable text.
        if inner and readable(content) is None:
            yield from (((str(number), *names), deeper) for names, deeper in inner)
        else:
            yield (str(number),), content


def _fields(data: bytes) -> list[tuple[int, bytes]] | None:
    found: list[tuple[int, bytes]] = []
    place = 0
    while place < len(data):
        tag, place = _varint(data, place)
        number, wire = tag >> 3, tag & 7
        if not 0 < number < 2**29 or place < 0:
            return None
        if wire == 2:
            length, place = _varint(data, place)
            if place < 0 or place + length > len(data):
                return None
            found.append((number, data[place : place + length]))
            place += length
        elif wire in (1, 5):
            place += 8 if wire == 1 else 4
        elif wire == 0:
            _, place = _varint(data, place)
        else:
            return None
        if not 0 <= place <= len(data):
            return None
    return found


def _varint(data: bytes, place: int) -> tuple[int, int]:
    """A number of variable length and the place after it; the place is -1 when it is cut."""
    value = 0
    for shift in range(0, 64, 7):
        if not 0 <= place < len(data):
            return 0, -1
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
    return 0, -1
