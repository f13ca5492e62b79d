"""Pages that are shown instead of the one that was asked for, by stated markers.

A challenge wants a sign that a person is there; a paywall wants money. Either explains why a visit
saw no bids, which is something else than a page whose bidders did not bid.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

TurnedAway = Literal["challenge", "paywall", "empty", "blocked"]

REFUSING = frozenset({401, 403, 405, 407, 418, 429, 451, 503})
"""HTTP answers by which sites turn a browser away."""
PAYMENT_REQUIRED = 402
NO_CONTENT = frozenset({204, 205})


@dataclass(frozen=True)
class Marker:
    """How one maker's challenge is recognised; what is stated must all hold."""

    maker: str
    header: str = ""
    """Header of the page's answer, in lower case."""
    values: tuple[str, ...] = ()
    """Its values; any when empty."""
    request: str = ""
    """Part of an address that the page asked for."""
    refusing: bool = False
    """Whether the answer must be one of ``REFUSING``: others' pages load the same script."""


CHALLENGES = (
    Marker("Cloudflare", header="cf-mitigated", values=("challenge",)),
    Marker("Cloudflare", request="/cdn-cgi/challenge-platform/", refusing=True),
    Marker("Cloudflare Turnstile", request="//challenges.cloudflare.com/", refusing=True),
    Marker("AWS WAF", header="x-amzn-waf-action", values=("challenge", "captcha")),
    Marker("DataDome", request="captcha-delivery.com/", refusing=True),
    Marker("HUMAN", request="//captcha.px-cdn.net/", refusing=True),
    Marker("HUMAN", request="//captcha.px-cloud.net/", refusing=True),
    Marker("Imperva", request="/_Incapsula_Resource", refusing=True),
    Marker("Kasada", header="x-kpsdk-ct", refusing=True),
    Marker("hCaptcha", request="//hcaptcha.com/", refusing=True),
    Marker("hCaptcha", request=".hcaptcha.com/", refusing=True),
    Marker("reCAPTCHA", request="/recaptcha/", refusing=True),
)


def judge(
    status: int, headers: Mapping[str, str], requests: Iterable[str], length: int
) -> tuple[TurnedAway, str] | None:
    """State and reason of a page that is not the one that was asked for; None when it may be.

    Args:
        status: HTTP status of the page's own answer.
        headers: its headers, names in lower case.
        requests: addresses that the page asked for.
        length: bytes of its body.
    """
    addresses = list(requests)
    for marker in CHALLENGES:
        if _holds(marker, status, headers, addresses):
            return "challenge", f"a challenge of {marker.maker} (HTTP {status})"
    if status == PAYMENT_REQUIRED:
        return "paywall", f"HTTP {status}"
    if status in REFUSING:
        return "blocked", f"HTTP {status}"
    if status in NO_CONTENT or (status and status < 400 and not length):
        return "empty", "empty response" if status == 200 else f"empty response (HTTP {status})"
    return None


def _holds(
    marker: Marker, status: int, headers: Mapping[str, str], requests: Iterable[str]
) -> bool:
    if marker.refusing and status not in REFUSING:
        return False
    if marker.header:
        value = headers.get(marker.header, "").strip().lower()
        return marker.header in headers and (not marker.values or value in marker.values)
    return any(marker.request in address for address in requests)
