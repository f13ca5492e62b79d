"""What the simulated Echo tells a host: personal data as its cloud orders it, packed as ordered."""

from __future__ import annotations

import fcntl
import gzip
import json
import os
import socket
import struct
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from echoaudit.lab.encodings import encode

SIOCGIFHWADDR = 0x8927
EVENT = "PlaybackStarted"
VOICE = "voice recording"


@dataclass(frozen=True)
class Utterance:
    """A command as the Echo heard it."""

    transcript: str
    sound: bytes
    """A WAV file."""


@dataclass(frozen=True)
class Load:
    """What one request carries."""

    kinds: tuple[str, ...] = ()
    """Kinds of data in it: the truth."""
    content: Mapping[str, Any] = field(default_factory=dict)
    """For httpx."""


@dataclass(frozen=True)
class _Field:
    kind: str
    place: str
    name: str
    value: str | bytes


def load(
    order: Sequence[Mapping[str, Any]],
    *,
    body: str,
    packed: bool,
    padding: int,
    heard: Utterance | None,
) -> Load:
    """Fill an order with values and pack it.

    What the Echo does not know, such as a transcript when nothing was said, is left out.

    Args:
        order: kinds with ``place``, ``field``, ``encoding`` and, if the cloud knows it, ``value``.
        body: format of the body: ``json``, ``form``, ``multipart`` or ``protobuf``.
        packed: whether the body is compressed with gzip.
        padding: bytes of nothing to send along.
        heard: the command that led to the request.
    """
    fields = [one for row in order if (one := _filled(row, heard)) is not None]
    inside = [one for one in fields if one.place == "body"]
    content: dict[str, Any] = {}
    if params := {one.name: one.value for one in fields if one.place == "query"}:
        content["params"] = params
    headers = {one.name: str(one.value) for one in fields if one.place == "header"}
    if inside:
        content |= _body(inside, body, packed, padding, headers)
    if headers:
        content["headers"] = headers
    return Load(tuple(sorted({one.kind for one in fields})), content)


def _filled(row: Mapping[str, Any], heard: Utterance | None) -> _Field | None:
    kind, encoding = str(row["data"]), str(row["encoding"])
    if kind == VOICE:
        return _Field(kind, "body", row["field"], heard.sound) if heard else None
    value = row.get("value") or _own(kind, heard)
    return _Field(kind, row["place"], row["field"], encode(value, encoding)) if value else None


def _own(kind: str, heard: Utterance | None) -> str:
    """A value that the device itself knows; empty when it does not."""
    match kind:
        case "device id":
            return hardware_address()
        case "device events":
            return EVENT
        case "transcript":
            return heard.transcript if heard else ""
        case _:
            return ""


def _body(
    fields: Iterable[_Field], form: str, packed: bool, padding: int, headers: dict[str, str]
) -> dict[str, Any]:
    """The body for httpx; adds its headers to ``headers``."""
    values = {one.name: one.value for one in fields}
    if padding:
        values["padding"] = os.urandom(padding // 2).hex()
    if form == "multipart":
        return {"files": {name: _part(value) for name, value in values.items()}}
    kind, write = _FORMS[form]
    data = write(values)
    headers["Content-Type"] = kind
    if packed:
        headers["Content-Encoding"] = "gzip"
        data = gzip.compress(data)
    return {"content": data}


def _part(value: str | bytes) -> tuple[Any, ...]:
    if isinstance(value, bytes):
        return "audio.wav", value, "audio/wav"
    return None, value


_Values = Mapping[str, str | bytes]


def _json(values: _Values) -> bytes:
    return json.dumps({name: _text(value) for name, value in values.items()}).encode()


def _form(values: _Values) -> bytes:
    return urlencode({name: _text(value) for name, value in values.items()}).encode()


def _protobuf(values: _Values) -> bytes:
    """Fields by number, in their order."""
    message = bytearray()
    for number, value in enumerate(values.values(), start=1):
        data = value if isinstance(value, bytes) else value.encode()
        message += _varint(number << 3 | 2) + _varint(len(data)) + data
    return bytes(message)


def _text(value: str | bytes) -> str:
    return b64encode(value).decode() if isinstance(value, bytes) else value


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


_FORMS: dict[str, tuple[str, Callable[[_Values], bytes]]] = {
    "json": ("application/json", _json),
    "form": ("application/x-www-form-urlencoded", _form),
    "protobuf": ("application/x-protobuf", _protobuf),
}


def hardware_address() -> str:
    """The address of this device's first network interface besides the loopback; else its."""
    names = [name for _, name in socket.if_nameindex()]
    name = next((name for name in names if name != "lo"), "lo")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        request = struct.pack("256s", name.encode()[:15])
        answer = fcntl.ioctl(probe.fileno(), SIOCGIFHWADDR, request)
    return ":".join(f"{byte:02x}" for byte in answer[18:24])
