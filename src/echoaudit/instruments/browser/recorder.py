"""From DevTools network events to the exchanges of one visit.

A request id stays the same over a redirect chain and over the sessions that report on it, so an
exchange is keyed by it alone. The headers as they were on the wire, cookies included, come in
separate *extra info* events, in order per request id but before or after the events they belong
to; they are kept aside and matched when the visit is over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from echoaudit.instruments.browser.devtools import Answer, Event

BODY_LIMIT = 64 * 1024
"""Bytes; longer bodies are not kept."""
BODIES_LIMIT = 4 * 1024**2
"""Bytes of bodies kept per visit."""
MESSAGE_LIMIT = 4 * 1024
MESSAGES_LIMIT = 200
WEIGHT_LIMIT = 32 * 1024**2
"""Characters of addresses, headers and posted data per visit; what comes after is only counted."""
HOP_WEIGHT = 2000
"""What a hop weighs besides: a page cannot fill the disk with tiny requests either."""
UNKEPT_SCHEMES = ("data:", "blob:", "chrome:", "devtools:", "about:")
"""Addresses that no network ever sees."""
UNKEPT_TYPES = frozenset({"Script", "Stylesheet", "Image", "Font", "Media", "TextTrack"})
ENDLESS_TYPES = frozenset({"WebSocket", "EventSource", "Media", "WebTransport"})
"""Kinds of requests that a page leaves open on purpose: nobody waits for their end."""

TEXT_TYPES = ("text/", "application/json", "application/xml", "application/x-www-form-urlencoded")

Fetch = Callable[[str, Mapping[str, Any], str], Future[Answer]]
"""Sends a DevTools command: method, parameters, session."""


@dataclass
class Hop:
    """One request and its answer; a redirect chain has several under one id."""

    request: Mapping[str, Any]
    started: float
    """On the browser's own monotonic clock, as are all times but ``wall``."""
    wall: float
    kind: str
    initiator: Mapping[str, Any]
    document: str
    frame: str
    target: str
    """Kind of target it came from: page, iframe, worker, shared_worker, service_worker."""
    redirected: bool = False
    """Whether a redirect led here."""
    response: Mapping[str, Any] | None = None
    extra_expected: bool = False
    ended: float | None = None
    error: str | None = None
    cache: str | None = None
    received: int = 0
    """Bytes on the wire, headers included."""
    length: int = 0
    """Bytes of the body after decompression."""
    request_extra: Mapping[str, Any] = field(default_factory=dict)
    response_extra: Mapping[str, Any] = field(default_factory=dict)
    post_data: Future[Answer] | None = None
    body: Future[Answer] | None = None
    messages: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class Exchange:
    """All hops of one request id, with the extra information still to be matched."""

    id: str
    hops: list[Hop] = field(default_factory=list)
    request_extras: list[Mapping[str, Any]] = field(default_factory=list)
    response_extras: list[Mapping[str, Any]] = field(default_factory=list)


class Recorder:
    """Collects the exchanges of one visit; fed by one thread."""

    def __init__(self, fetch: Fetch) -> None:
        self.exchanges: dict[str, Exchange] = {}
        self.open: dict[str, str] = {}
        """Requests without an answer yet, with the session that reported them. Not: without an
        end, for a page that leaves an answer unread keeps the browser from ever telling its end."""
        self.received = 0
        """Bytes on the wire."""
        self.decoded = 0
        """Bytes after decompression."""
        self._fetch = fetch
        self.dropped = 0
        """Requests beyond ``WEIGHT_LIMIT``."""
        self._bodies = 0
        self._weight = 0
        self._handlers: dict[str, Callable[[Event, str], None]] = {
            "Network.requestWillBeSent": self._request,
            "Network.requestWillBeSentExtraInfo": self._request_extra,
            "Network.responseReceived": self._response,
            "Network.responseReceivedExtraInfo": self._response_extra,
            "Network.requestServedFromCache": self._cached,
            "Network.dataReceived": self._data,
            "Network.loadingFinished": self._finished,
            "Network.loadingFailed": self._failed,
            "Network.webSocketCreated": self._socket,
            "Network.webSocketWillSendHandshakeRequest": self._socket_request,
            "Network.webSocketHandshakeResponseReceived": self._socket_response,
            "Network.webSocketFrameSent": self._sent,
            "Network.webSocketFrameReceived": self._heard,
            "Network.webSocketClosed": self._socket_closed,
        }

    def record(self, event: Event, target: str) -> bool:
        """Take in one event of a target of that kind; False when it is of no concern here."""
        handler = self._handlers.get(event.method)
        if handler is None:
            return False
        handler(event, target)
        return True

    def forget(self, session: str) -> None:
        """A target has gone: nobody will report the end of its requests any more."""
        self.open = {number: owner for number, owner in self.open.items() if owner != session}

    def hops(self) -> list[tuple[str, Hop]]:
        """All hops with their request ids, in order of time, extra information matched."""
        # The thread that feeds may be busy with one more event.
        exchanges = list(self.exchanges.values())
        for exchange in exchanges:
            _match(exchange)
        found = [(exchange.id, hop) for exchange in exchanges for hop in exchange.hops]
        return sorted(found, key=lambda pair: (pair[1].wall, pair[0]))

    def _exchange(self, event: Event) -> Exchange:
        number = str(event.params["requestId"])
        return self.exchanges.setdefault(number, Exchange(number))

    def _last(self, event: Event) -> Hop | None:
        exchange = self.exchanges.get(str(event.params.get("requestId")))
        return exchange.hops[-1] if exchange and exchange.hops else None

    # --- requests -----------------------------------------------------------------------------

    def _request(self, event: Event, target: str) -> None:
        params = event.params
        if not self._has_room(params["request"]):
            return
        exchange = self._exchange(event)
        redirect = params.get("redirectResponse")
        if exchange.hops and redirect:
            self._redirect(exchange.hops[-1], params)
        elif exchange.hops:
            return  # the same request, reported by a second session
        hop = _hop(params, target, redirected=bool(redirect))
        if hop.request.get("hasPostData") and "postData" not in hop.request:
            hop.post_data = self._fetch(
                "Network.getRequestPostData", {"requestId": exchange.id}, event.session
            )
        exchange.hops.append(hop)
        if hop.kind not in ENDLESS_TYPES:
            self.open[exchange.id] = event.session

    def _has_room(self, request: Mapping[str, Any]) -> bool:
        if str(request["url"]).startswith(UNKEPT_SCHEMES):
            return False
        weight = HOP_WEIGHT + len(str(request["url"])) + len(str(request.get("postData", "")))
        if self._weight + weight > WEIGHT_LIMIT:
            self.dropped += 1
            return False
        self._weight += weight
        return True

    @staticmethod
    def _redirect(hop: Hop, params: Mapping[str, Any]) -> None:
        hop.response = params["redirectResponse"]
        hop.extra_expected = bool(params.get("redirectHasExtraInfo"))
        hop.ended = float(params["timestamp"])
        hop.received = int(params["redirectResponse"].get("encodedDataLength", 0))

    def _request_extra(self, event: Event, _target: str) -> None:
        _add(self._exchange(event).request_extras, event.params)

    def _response_extra(self, event: Event, _target: str) -> None:
        self._weight += sum(len(str(value)) for value in event.params.get("headers", {}).values())
        _add(self._exchange(event).response_extras, event.params)

    # --- responses ----------------------------------------------------------------------------

    def _response(self, event: Event, _target: str) -> None:
        self.open.pop(str(event.params["requestId"]), None)
        hop = self._last(event)
        if hop is not None:
            hop.response = event.params["response"]
            hop.kind = event.params.get("type", hop.kind)
            hop.extra_expected = bool(event.params.get("hasExtraInfo"))
            hop.cache = hop.cache or _cache(hop.response)

    def _cached(self, event: Event, _target: str) -> None:
        hop = self._last(event)
        if hop is not None:
            hop.cache = "memory"

    def _data(self, event: Event, _target: str) -> None:
        self.received += max(0, int(event.params.get("encodedDataLength", 0)))
        length = max(0, int(event.params.get("dataLength", 0)))
        self.decoded += length
        hop = self._last(event)
        if hop is not None:
            hop.length += length

    def _finished(self, event: Event, _target: str) -> None:
        self.open.pop(str(event.params["requestId"]), None)
        hop = self._last(event)
        if hop is None:
            return
        hop.ended = float(event.params["timestamp"])
        hop.received = int(event.params.get("encodedDataLength", 0))
        if self._worth_keeping(hop):
            self._bodies += hop.received
            hop.body = self._fetch(
                "Network.getResponseBody", {"requestId": event.params["requestId"]}, event.session
            )

    def _worth_keeping(self, hop: Hop) -> bool:
        if hop.response is None or hop.kind in UNKEPT_TYPES:
            return False
        mime = str(hop.response.get("mimeType", ""))
        is_text = mime.startswith(TEXT_TYPES) or mime.endswith(("+json", "+xml"))
        is_code = "javascript" in mime or mime == "text/css"
        fits = hop.received <= BODY_LIMIT and self._bodies + hop.received <= BODIES_LIMIT
        return is_text and not is_code and fits

    def _failed(self, event: Event, _target: str) -> None:
        self.open.pop(str(event.params["requestId"]), None)
        hop = self._last(event)
        if hop is None:
            return
        hop.ended = float(event.params["timestamp"])
        reasons = (event.params.get(key) for key in ("blockedReason", "errorText"))
        hop.error = " ".join(str(reason) for reason in reasons if reason) or "failed"

    # --- web sockets --------------------------------------------------------------------------

    def _socket(self, event: Event, target: str) -> None:
        exchange = self._exchange(event)
        if not exchange.hops:
            request = {"url": event.params["url"], "method": "GET", "headers": {}}
            initiator = event.params.get("initiator", {})
            exchange.hops.append(Hop(request, 0.0, 0.0, "WebSocket", initiator, "", "", target))

    def _socket_request(self, event: Event, _target: str) -> None:
        hop = self._last(event)
        if hop is not None:
            hop.request = {**hop.request, "headers": event.params["request"]["headers"]}
            hop.started = float(event.params["timestamp"])
            hop.wall = float(event.params["wallTime"])

    def _socket_response(self, event: Event, _target: str) -> None:
        hop = self._last(event)
        if hop is not None:
            hop.response = event.params["response"]
            sent = event.params["response"].get("requestHeaders")
            hop.request_extra = {"headers": sent} if sent else {}

    def _sent(self, event: Event, _target: str) -> None:
        self._message(event, "send")

    def _heard(self, event: Event, _target: str) -> None:
        self._message(event, "receive")

    def _message(self, event: Event, direction: str) -> None:
        hop = self._last(event)
        if hop is None or len(hop.messages) >= MESSAGES_LIMIT:
            return
        frame = event.params.get("response", {})
        time = hop.wall + float(event.params["timestamp"]) - hop.started
        data = str(frame.get("payloadData", ""))[:MESSAGE_LIMIT]
        message = {"type": direction, "time": time, "opcode": frame.get("opcode"), "data": data}
        hop.messages.append(message)

    def _socket_closed(self, event: Event, _target: str) -> None:
        hop = self._last(event)
        if hop is not None:
            hop.ended = float(event.params["timestamp"])


def _hop(params: Mapping[str, Any], target: str, *, redirected: bool) -> Hop:
    return Hop(
        request=params["request"],
        started=float(params["timestamp"]),
        wall=float(params["wallTime"]),
        kind=str(params.get("type", "Other")),
        initiator=params.get("initiator", {}),
        document=str(params.get("documentURL", "")),
        frame=str(params.get("frameId", "")),
        target=target,
        redirected=redirected,
    )


def _add(extras: list[Mapping[str, Any]], params: Mapping[str, Any]) -> None:
    """Two sessions may report the same headers: equal neighbours are one."""
    if not extras or extras[-1] != params:
        extras.append(params)


def _cache(response: Mapping[str, Any]) -> str | None:
    sources = {
        "fromDiskCache": "disk",
        "fromServiceWorker": "service-worker",
        "fromPrefetchCache": "prefetch",
    }
    return next((name for key, name in sources.items() if response.get(key)), None)


def _match(exchange: Exchange) -> None:
    """Give each hop its own extra information: they come in the order of the hops."""
    requests, responses = iter(exchange.request_extras), iter(exchange.response_extras)
    for hop in exchange.hops:
        if hop.extra_expected:
            hop.request_extra = next(requests, hop.request_extra)
            hop.response_extra = next(responses, hop.response_extra)
        elif hop.response is None:
            hop.request_extra = next(requests, hop.request_extra)
