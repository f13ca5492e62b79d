"""Whether lists agree on whose a host is and what it is for, however they word it."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from echoaudit.outcomes.organisations import alike, directory

Name = tuple[str, ...]
"""The words of a company's name."""

WATCHES = {
    "ad", "ads", "advertising", "analytics", "cryptomining", "emailaggressive",
    "fingerprintinggeneral", "fingerprintinginvasive", "listed", "marketing", "pornvertising",
    "site_analytics", "tag-manager", "tracking",
}  # fmt: skip
"""Categories, roles and verdicts that mean advertising or measurement."""
SERVES = {
    "audio_video_player", "cdn", "consent", "consent-provider", "content", "customer-success",
    "customer_interaction", "functional", "hosting", "utilities", "utility", "video",
}  # fmt: skip
"""Categories and roles that mean something else. What is in neither says nothing of purpose."""


def organisations_differ(stated: Iterable[Collection[str]]) -> bool:
    """Whether the names that lists give a host belong to more than one family of companies.

    Each list may give several names: of the company, its product, its parent. Companies that share
    a parent, an alias or the first words of their names ("Amazon", "Amazon Ads") are one family.
    """
    families: list[frozenset[Name]] = []
    for names in stated:
        own = frozenset[Name]().union(*(directory().family(name) for name in names))
        if not own:
            continue
        same = [family for family in families if _related(family, own)]
        families = [family for family in families if family not in same]
        families.append(own.union(*same))
    return len(families) > 1


def purposes_differ(stated: Iterable[str]) -> bool:
    """Whether one list takes a host for advertising or measurement and another for a service."""
    words = {word.lower() for word in stated}
    return bool(words & WATCHES) and bool(words & SERVES)


def _related(some: frozenset[Name], others: frozenset[Name]) -> bool:
    return any(alike(one, other) for one in some for other in others)
