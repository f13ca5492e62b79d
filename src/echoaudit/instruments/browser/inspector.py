"""Looking at a loaded page from script worlds of our own, which it can neither see nor deceive."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

from echoaudit.instruments.browser.devtools import Answer, DevTools
from echoaudit.instruments.browser.errors import CommandFailed
from echoaudit.instruments.browser.targets import Targets

PATIENCE = 3.0
"""Seconds for one question; a document that has let one pass is asked no more."""
WORLD = "echoaudit"
FRAMES_LIMIT = 60
Unseen = (CommandFailed, TimeoutError)
"""Why something could not be looked at: it has gone, or it does not answer."""


@dataclass(frozen=True)
class Document:
    """One document, and the script world from which it is looked at."""

    session: str
    frame: str
    world: int


class Inspector:
    """Asks documents of one visit, all together for ``seconds`` at most."""

    def __init__(self, devtools: DevTools, targets: Targets, seconds: float) -> None:
        self._devtools = devtools
        self._targets = targets
        self._end = time.monotonic() + seconds
        self._silent: set[str] = set()
        self._source = resources.files(__package__).joinpath("inspect.js").read_text("utf-8")

    def call(self, method: str, params: Mapping[str, Any], session: str) -> Answer:
        """Send a command; one of ``Unseen`` when it is refused or there is no answer in time."""
        left = min(PATIENCE, self._end - time.monotonic())
        if session in self._silent or left <= 0:
            raise TimeoutError("the page does not answer")
        try:
            return self._devtools.call(method, params, session, left)
        except TimeoutError:
            self._silent.add(session)
            raise

    def document(self, frame: str, holder: str) -> Document:
        """The document of a frame; ``holder`` is the session of the document it stands in."""
        session = self._targets.session_of(frame) or holder
        made = self.call(
            "Page.createIsolatedWorld", {"frameId": frame, "worldName": WORLD}, session
        )
        world = int(made["executionContextId"])
        self.call("Runtime.evaluate", {"expression": self._source, "contextId": world}, session)
        return Document(session, frame, world)

    def evaluate(self, document: Document, expression: str) -> Any:
        """The value of an expression in the document's own world."""
        params = {
            "expression": expression,
            "contextId": document.world,
            "returnByValue": True,
            "awaitPromise": True,
        }
        return self.call("Runtime.evaluate", params, document.session)["result"].get("value")

    def apply(self, document: Document, function: str, node: int) -> Any:
        """The value of a function with a node (by its ``backendNodeId``) as ``this``."""
        where = {"backendNodeId": node, "executionContextId": document.world}
        resolved = self.call("DOM.resolveNode", where, document.session)["object"]
        params = {
            "functionDeclaration": function,
            "objectId": resolved["objectId"],
            "returnByValue": True,
        }
        return self.call("Runtime.callFunctionOn", params, document.session)["result"].get("value")

    def node(self, expression: str, session: str, world: int | None) -> Mapping[str, Any]:
        """The node that an expression gives, as DevTools describes it."""
        where = {} if world is None else {"contextId": world}
        found = self.call("Runtime.evaluate", {"expression": expression, **where}, session)
        params = {"objectId": found["result"].get("objectId", "")}
        node: Mapping[str, Any] = self.call("DOM.describeNode", params, session)["node"]
        return node

    def holder(self, session: str) -> tuple[str, str] | None:
        """The session of the document that holds a frame's session, and the frame; None of tabs."""
        target = self._targets.attached.get(session)
        if target is None or target.kind != "iframe":
            return None
        return target.parent, target.id

    def frames(self) -> Iterator[tuple[str, str]]:
        """All frames of all tabs, as (frame, session)."""
        for target in self._targets.documents():
            try:
                tree = self.call("Page.getFrameTree", {}, target.session)["frameTree"]
            except Unseen:
                continue
            for frame in _frames(tree):
                yield frame, target.session


def _frames(tree: Mapping[str, Any]) -> Iterator[str]:
    trees = [tree]
    for _ in range(FRAMES_LIMIT):
        if not trees:
            return
        one = trees.pop(0)
        yield str(one["frame"]["id"])
        trees += one.get("childFrames", ())
