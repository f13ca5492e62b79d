"""Every target of the browser: tabs, cross-site frames, workers, pop-ups.

Each new target is held by the browser until recording is switched on in it, so that not even its
first request is missed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from echoaudit.instruments.browser import consent, console
from echoaudit.instruments.browser.bids import Harvest
from echoaudit.instruments.browser.consent import Banner, Scripts
from echoaudit.instruments.browser.devtools import Answer, Event
from echoaudit.instruments.browser.recorder import Recorder

POPUPS_LIMIT = 5
"""Pop-ups that are let load during one visit; the others are closed as they open."""

CONTEXTS_LIMIT = 2000
WORLD = "echoaudit"
"""Name of the script world from which documents are looked at; pages do not see it."""

AUTO_ATTACH = {"autoAttach": True, "waitForDebuggerOnStart": True, "flatten": True}
DOCUMENTS = ("page", "iframe")
RECORDED = (*DOCUMENTS, "worker", "shared_worker", "service_worker", "webview", "prerender")
"""Kinds of targets that web pages make; the others are the browser's own windows."""
LASTING = ("service_worker", "shared_worker")
BUFFERS = {"maxTotalBufferSize": 32 * 1024**2, "maxResourceBufferSize": 1024**2}


class Post(Protocol):
    """Sends one DevTools command without waiting."""

    def __call__(
        self, method: str, params: Mapping[str, Any] | None = None, session: str = ""
    ) -> Future[Answer]:
        """The answer, once it comes."""
        ...


@dataclass(frozen=True)
class Target:
    """One attached target."""

    id: str
    session: str
    parent: str
    """Session that reported it; empty for the browser itself."""
    kind: str
    opened_by_page: bool
    ready: Future[Answer] = field(default_factory=Future)
    """Done when recording is on. A tab that navigates earlier loses its first requests: its new
    renderer starts from what the browser has heard of the old one's state."""


@dataclass(frozen=True)
class Document:
    """What is in a frame now, and the script world of ours from which it is looked at."""

    session: str
    frame: str
    world: int


@dataclass
class Record:
    """What is recorded of the visit under way."""

    recorder: Recorder
    harvest: Harvest = field(default_factory=Harvest)
    session: str = ""
    """Session of the visited tab itself."""
    loaded: bool = False
    crashed: bool = False
    active: float = 0.0
    """When the network last did something (monotonic)."""
    contexts: set[tuple[str, int]] = field(default_factory=set)
    """Where Prebid was found: session and script context."""
    frames: dict[tuple[str, int], str] = field(default_factory=dict)
    """The frame of each script context, by session and context."""
    worlds: dict[str, Document] = field(default_factory=dict)
    """By frame."""
    pages: dict[str, tuple[str, int]] = field(default_factory=dict)
    """The page's own script context, by frame."""
    banner: Banner | None = None
    """What is heard of consent banners, when they are to be answered."""
    console: list[dict[str, Any]] = field(default_factory=list)
    popups: int = 0


class Targets:
    """Keeps the list of targets and routes their events; lives on the DevTools thread."""

    def __init__(
        self, binding: str, script: str, own_script: str, banners: Scripts | None = None
    ) -> None:
        """``script`` starts every document; the others do so in worlds of their own."""
        self.attached: dict[str, Target] = {}
        """By session."""
        self.record: Record | None = None
        self.fulfil: Mapping[str, str] = {}
        """Addresses answered by ourselves, with the base64 of an HTML body."""
        self.answer_proxy: Callable[[], Mapping[str, str]] | None = None
        """Set while the proxy is tried: requests pass, and its question is answered by this."""
        self._binding = binding
        self._script = script
        self._own_script = own_script
        self._banners = banners
        self._post: Post | None = None

    def start(self, post: Post) -> Future[Answer]:
        """Attach to everything there is and to whatever comes."""
        self._post = post
        return post("Target.setAutoAttach", AUTO_ATTACH)

    def session_of(self, target: str) -> str | None:
        """The session that is attached to a target."""
        found = self.find(target)
        return found.session if found else None

    def find(self, target: str) -> Target | None:
        """An attached target by its id."""
        return next((one for one in list(self.attached.values()) if one.id == target), None)

    def pages(self) -> list[Target]:
        """The open tabs and pop-ups."""
        return [target for target in list(self.attached.values()) if target.kind == "page"]

    def lasting_workers(self) -> list[Target]:
        """Workers that belong to no page and would go on in the next visit."""
        return [target for target in list(self.attached.values()) if target.kind in LASTING]

    def documents(self) -> list[Target]:
        """Tabs, pop-ups and cross-site frames."""
        return [target for target in list(self.attached.values()) if target.kind in DOCUMENTS]

    def handle(self, event: Event) -> None:
        """Take in one event."""
        match event.method:
            case "Target.attachedToTarget":
                self._attach(event)
            case "Target.detachedFromTarget":
                self._detach(str(event.params["sessionId"]))
            case "Fetch.requestPaused" if self.answer_proxy is not None:
                request = {"requestId": event.params["requestId"]}
                self._send("Fetch.continueRequest", request, event.session)
            case "Fetch.requestPaused":
                self._fulfil(event)
            case "Fetch.authRequired":
                self._answer_proxy(event)
            case "Page.javascriptDialogOpening":
                self._dismiss(event)
            case _ if self.record is not None:
                self._record(self.record, event)

    def _send(self, method: str, params: Mapping[str, Any] | None, session: str) -> Future[Answer]:
        if self._post is None:
            raise RuntimeError("targets are handled before start()")
        return self._post(method, params, session)

    # --- coming and going ---------------------------------------------------------------------

    def _attach(self, event: Event) -> None:
        info, session = event.params["targetInfo"], str(event.params["sessionId"])
        opened = bool(info.get("openerId"))
        target = Target(str(info["targetId"]), session, event.session, str(info["type"]), opened)
        if self.session_of(target.id) is not None or _is_browser_own(info):
            # A worker is reported by the browser and by its page: once is enough.
            self._send("Runtime.runIfWaitingForDebugger", None, session)
            self._send("Target.detachFromTarget", {"sessionId": session}, event.session)
            return
        self.attached[session] = replace(target, ready=self._prepare(target))
        if self._too_many(target):  # only now: a held pop-up would hold the page that opened it
            self._send("Target.closeTarget", {"targetId": target.id}, "")

    def _too_many(self, target: Target) -> bool:
        if not (target.kind == "page" and target.opened_by_page and self.record is not None):
            return False
        self.record.popups += 1
        return self.record.popups > POPUPS_LIMIT

    def _prepare(self, target: Target) -> Future[Answer]:
        commands: list[tuple[str, Mapping[str, Any] | None]] = [("Network.enable", BUFFERS)]
        if target.kind in DOCUMENTS:
            commands += [
                ("Page.enable", None),
                ("Runtime.enable", None),
                ("Log.enable", None),
                ("Runtime.addBinding", {"name": self._binding}),
                (
                    "Page.addScriptToEvaluateOnNewDocument",
                    {"source": self._script, "runImmediately": True},
                ),
                (
                    "Page.addScriptToEvaluateOnNewDocument",
                    {"source": self._own_script, "worldName": WORLD, "runImmediately": True},
                ),
                *self._for_banners(target),
            ]
        for method, params in [*commands, ("Target.setAutoAttach", AUTO_ATTACH)]:
            self._send(method, params, target.session)
        return self._send("Runtime.runIfWaitingForDebugger", None, target.session)

    def _for_banners(self, target: Target) -> list[tuple[str, Mapping[str, Any]]]:
        if self._banners is None:
            return []
        source = self._banners.page if target.kind == "page" else self._banners.frame
        own = {"name": self._banners.binding, "executionContextName": consent.WORLD}
        start = {"source": source, "worldName": consent.WORLD, "runImmediately": True}
        return [
            ("Runtime.addBinding", own),
            ("Page.addScriptToEvaluateOnNewDocument", start),
        ]

    def _detach(self, session: str) -> None:
        """A closed tab takes its frames and workers along without further notice."""
        self.attached.pop(session, None)
        if self.record is not None:
            self.record.recorder.forget(session)
            _end_contexts(self.record, session)
        for child in [one.session for one in self.attached.values() if one.parent == session]:
            self._detach(child)

    def _dismiss(self, event: Event) -> None:
        """Alerts are dismissed; a page that asks whether one may leave it is told yes."""
        leave = event.params.get("type") == "beforeunload"
        self._send("Page.handleJavaScriptDialog", {"accept": leave}, event.session)

    def _fulfil(self, event: Event) -> None:
        body = self.fulfil.get(str(event.params["request"]["url"]))
        answer = {
            "requestId": event.params["requestId"],
            "responseCode": 404 if body is None else 200,
            "responseHeaders": [{"name": "Content-Type", "value": "text/html"}],
            "body": body or "",
        }
        self._send("Fetch.fulfillRequest", answer, event.session)

    def _answer_proxy(self, event: Event) -> None:
        asks = event.params["authChallenge"].get("source") == "Proxy"
        known = self.answer_proxy if asks else None
        answer = known() if known is not None else {"response": "CancelAuth"}
        params = {"requestId": event.params["requestId"], "authChallengeResponse": answer}
        self._send("Fetch.continueWithAuth", params, event.session)

    # --- recording ----------------------------------------------------------------------------

    def _record(self, record: Record, event: Event) -> None:
        target = self.attached.get(event.session)
        if record.recorder.record(event, target.kind if target else "unknown"):
            record.active = time.monotonic()
        elif event.method == "Runtime.bindingCalled":
            self._report(record, event)
        elif event.method == "Runtime.executionContextCreated":
            _keep_context(record, event)
        elif event.method == "Runtime.executionContextDestroyed":
            _end_contexts(record, event.session, int(event.params["executionContextId"]))
        elif event.method == "Runtime.executionContextsCleared":
            _end_contexts(record, event.session)
        elif event.method in console.EVENTS:
            console.keep(record.console, event, target.kind if target else "unknown")
        elif event.session == record.session:
            record.loaded = record.loaded or event.method == "Page.loadEventFired"
            record.crashed = record.crashed or event.method == "Inspector.targetCrashed"

    def _report(self, record: Record, event: Event) -> None:
        if record.banner is not None and event.params.get("name") == self._banner_binding:
            self._hear(record, record.banner, event)
        if event.params.get("name") == self._binding:
            record.harvest.take(str(event.params.get("payload", "")))
            record.contexts.add((event.session, int(event.params["executionContextId"])))
            record.active = time.monotonic()

    @property
    def _banner_binding(self) -> str | None:
        return self._banners.binding if self._banners else None

    def _hear(self, record: Record, banner: Banner, event: Event) -> None:
        own = (event.session, int(event.params["executionContextId"]))
        question = banner.take(own, str(event.params.get("payload", "")))
        if question is not None:
            page = record.pages.get(record.frames.get(own, ""))
            consent.reply(question, page, own, self._evaluate)

    def _evaluate(self, expression: str, session: str, context: int) -> Future[Answer]:
        params = {
            "expression": expression,
            "contextId": context,
            "returnByValue": True,
            "awaitPromise": True,
        }
        return self._send("Runtime.evaluate", params, session)


def _end_contexts(record: Record, session: str, context: int | None = None) -> None:
    if record.banner is not None:
        record.banner.gone(session, context)


def _keep_context(record: Record, event: Event) -> None:
    context = event.params["context"]
    frame, number = context.get("auxData", {}).get("frameId"), int(context["id"])
    if frame is None or len(record.frames) >= CONTEXTS_LIMIT:
        return
    record.frames[event.session, number] = str(frame)
    if context["auxData"].get("isDefault"):
        record.pages[str(frame)] = (event.session, number)
    if context.get("name") == WORLD:
        record.worlds[str(frame)] = Document(event.session, str(frame), number)


def _is_browser_own(info: Mapping[str, Any]) -> bool:
    return info["type"] not in RECORDED or str(info.get("url", "")).startswith("chrome:")
