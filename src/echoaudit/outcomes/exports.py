"""Sessions without a capture: connections as a proxy saw them, questions as a DNS log has them.

``connections.jsonl`` and ``names.jsonl`` are then all that is known; bytes are those of messages,
without the headers of packets.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from echoaudit.errors import BadInput
from echoaudit.outcomes.naming import answers_of_log
from echoaudit.outcomes.traffic.flows import Flow, Lookup, Traffic
from echoaudit.outcomes.traffic.tls import host as clean_host

if TYPE_CHECKING:
    from echoaudit.recording import StepEvidence

CONNECTIONS, NAMES, SOURCE = "connections.jsonl", "names.jsonl", "source.json"
LOG = "log"
"""Transport of a look-up that only a DNS log tells of."""
_MOST_PROBLEMS = 20

_Address = Annotated[str, AfterValidator(lambda text: str(ip_address(text)))]
_Size = Annotated[int, Field(ge=0, lt=2**62)]
_Time = Annotated[float, Field(ge=0, lt=2**33)]


class _Connection(BaseModel):
    """One line of ``connections.jsonl``."""

    model_config = ConfigDict(extra="ignore")

    client: _Address
    client_port: int = Field(ge=0, lt=65536)
    server: _Address
    server_port: int = Field(ge=0, lt=65536)
    protocol: str = Field(pattern="^(tcp|udp)$")
    first: _Time
    last: _Time
    host: str
    sni: str = ""
    alpn: str = Field(default="", pattern="^[!-~]{0,32}$")
    tls: str = Field(default="", pattern=r"^[A-Za-z0-9 .]{0,16}$")
    payload_up: _Size
    payload_down: _Size


def exported(step: StepEvidence) -> Traffic | None:
    """What a session's export tells; nothing when it has none.

    Raises:
        BadInput: a file is not in the documented form.
    """
    if not step.has(SOURCE):
        return None
    traffic = Traffic(flows=list(_flows(step)), lookups=list(_lookups(step)))
    told = "connections as a proxy saw them" if traffic.flows else "questions of a DNS log"
    traffic.notes.unread[f"no packets, only {told}"] = len(traffic.flows or traffic.lookups)
    times = [flow.first for flow in traffic.flows] + [one.time for one in traffic.lookups]
    times += [flow.last for flow in traffic.flows]
    traffic.first, traffic.last = min(times, default=None), max(times, default=None)
    return traffic


def problems(step: StepEvidence) -> tuple[str, ...]:
    """What the import could not use of the source; empty for evidence of one's own."""
    if not step.has(SOURCE):
        return ()
    source = step.json(SOURCE)
    stated = source.get("problems") if isinstance(source, dict) else None
    lines = stated if isinstance(stated, list) else []
    return tuple(str(line)[:300] for line in lines[:_MOST_PROBLEMS])


def _flows(step: StepEvidence) -> Iterator[Flow]:
    for line in step.jsonl(CONNECTIONS) if step.has(CONNECTIONS) else ():
        try:
            yield _flow(_Connection.model_validate(line))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise BadInput(f"{CONNECTIONS}: {where}: {first['msg']}") from error


def _flow(one: _Connection) -> Flow:
    host, sni = _name(one.host), _name(one.sni)
    answered = one.payload_down > 0
    return Flow(
        client_mac="",
        client=one.client,
        client_port=one.client_port,
        server=one.server,
        server_port=one.server_port,
        protocol=one.protocol,
        first=one.first,
        last=one.last,
        packets_up=0,
        packets_down=0,
        bytes_up=one.payload_up,
        bytes_down=one.payload_down,
        payload_up=one.payload_up,
        payload_down=one.payload_down,
        tls=one.tls,
        sni=sni if not host or host == sni else "",
        alpn=one.alpn,
        ja4="",
        ech=False,
        quic="",
        http_host=host,
        opened=True,
        state="closed" if answered else "unanswered",
    )


def _name(text: str) -> str:
    return clean_host(text.encode("ascii", "replace"))


def _lookups(step: StepEvidence) -> Iterator[Lookup]:
    """A look-up per question of a log; what it was answered is left to ``answers_of_log``."""
    events = list(step.jsonl(NAMES)) if step.has(NAMES) else []
    blocked: dict[str, bool] = {}
    for answer in answers_of_log(events):
        blocked[answer.name] = answer.blocked and blocked.get(answer.name, True)
    told = {_key(event) for event in events if event["event"] != "query" and event.get("answer")}
    for event in events:
        if event["event"] == "query":
            yield _lookup(event, _key(event) in told, blocked)


def _key(event: Any) -> tuple[str, str]:
    return str(event.get("client")), str(event.get("id"))


def _lookup(event: Any, told: bool, blocked: Mapping[str, bool]) -> Lookup:
    name = _name(str(event["name"])) or str(event["name"])
    return Lookup(
        time=float(event["time"]),
        client_mac="",
        client=str(event.get("client")),
        server="",
        question=name,
        type=str(event.get("type")),
        answered=told or name in blocked,
        rcode=0,
        addresses=(),
        chain=(),
        transport=LOG,
        blocked=blocked.get(name, False),
    )
