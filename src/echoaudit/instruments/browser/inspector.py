"""Looking at a loaded page from script worlds of our own, which it can neither see nor deceive."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any

from echoaudit.instruments.browser.devtools import Answer, DevTools
from echoaudit.instruments.browser.errors import CommandFailed
from echoaudit.instruments.browser.targets import Document, Targets

PATIENCE = 3.0
"""Seconds for one question; a document that has let one pass is asked no more."""
FRAMES_LIMIT = 60
EVALUATE = "Runtime.evaluate"
Asked = Sequence[tuple[Document, Future[Answer]]]
"""Documents that were asked something, and the answers to come."""
Unseen = (CommandFailed, TimeoutError)
"""Why something could not be looked at: it has gone, or it does not answer."""


class Inspector:
    """Asks documents of one visit, all together for ``seconds`` at most."""

    def __init__(
        self,
        devtools: DevTools,
        targets: Targets,
        worlds: Mapping[str, Document],
        seconds: float,
    ) -> None:
        """``worlds`` are the documents by frame; ``inspect.js`` has run in their worlds."""
        self._devtools = devtools
        self._targets = targets
        self._worlds = worlds
        self._end = time.monotonic() + seconds
        self._silent: set[str] = set()

    @property
    def documents(self) -> list[Document]:
        """The documents there are, at most ``FRAMES_LIMIT``."""
        return list(self._worlds.values())[:FRAMES_LIMIT]

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

    def document(self, frame: str) -> Document:
        """The document in a frame."""
        if frame not in self._worlds:
            raise CommandFailed("a frame has gone, or is not there yet")
        return self._worlds[frame]

    def evaluate_everywhere(self, expression: str) -> Iterator[tuple[Document, Any]]:
        """The value of an expression in every document that answers; asked all at once."""
        return self.told(self.ask(dict.fromkeys(self.documents, expression)))

    def ask(self, expressions: Mapping[Document, str]) -> Asked:
        """Ask documents for the values of expressions, without waiting for them."""
        return [
            (document, self._devtools.post(EVALUATE, _in(document, expression), document.session))
            for document, expression in expressions.items()
            if document.session not in self._silent
        ]

    def told(self, asked: Asked) -> Iterator[tuple[Document, Any]]:
        """The values of the documents that answer."""
        for document, answer in asked:
            try:
                found = _value(answer.result(max(0.0, min(PATIENCE, self._end - time.monotonic()))))
            except (CommandFailed, FutureTimeout):
                continue
            yield document, found

    def evaluate(self, document: Document, expression: str) -> Any:
        """The value of an expression in the document's own world."""
        return _value(self.call(EVALUATE, _in(document, expression), document.session))

    def apply(self, document: Document, function: str, node: int) -> Any:
        """The value of a function with a node (by its ``backendNodeId``) as ``this``."""
        where = {"backendNodeId": node, "executionContextId": document.world}
        resolved = self.call("DOM.resolveNode", where, document.session)["object"]
        params = {
            "functionDeclaration": function,
            "objectId": resolved["objectId"],
            "returnByValue": True,
        }
        return _value(self.call("Runtime.callFunctionOn", params, document.session))

    def node(self, expression: str, session: str, world: int | None) -> Mapping[str, Any]:
        """The node that an expression gives, as DevTools describes it."""
        where = {} if world is None else {"contextId": world}
        found = self.call(EVALUATE, {"expression": expression, **where}, session)
        params = {"objectId": found["result"].get("objectId", "")}
        node: Mapping[str, Any] = self.call("DOM.describeNode", params, session)["node"]
        return node

    def holder(self, session: str) -> tuple[str, str] | None:
        """The session of the document that holds a frame's session, and the frame; None of tabs."""
        target = self._targets.attached.get(session)
        if target is None or target.kind != "iframe":
            return None
        return target.parent, target.id


def _value(answer: Answer) -> Any:
    """What a script of ours gave; pages may have names that hide an element's own from it."""
    if "exceptionDetails" in answer:
        raise CommandFailed("a script of ours failed on this page")
    return answer["result"].get("value")


def _in(document: Document, expression: str) -> dict[str, Any]:
    return {
        "expression": expression,
        "contextId": document.world,
        "returnByValue": True,
        "awaitPromise": True,
    }
