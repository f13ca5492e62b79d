"""A saved page of a skill store to a record, by the page's microdata.

A page says ``itemprop="sku"`` (the id), ``name``, ``alternateName`` (the invocation name),
``author``, ``description``, ``utterance`` and ``permission`` (once for each), and links its policy
with ``rel="privacy-policy"``. Names are schema.org's where it has one.
"""

from __future__ import annotations

from typing import Any

from lxml import etree

ONE = {
    "id": "sku",
    "name": "name",
    "invocation": "alternateName",
    "vendor": "author",
    "description": "description",
}
SEVERAL = {"examples": "utterance", "permissions": "permission"}
TEXT = 100_000
"""Characters of a text that are read."""


def record_of(page: bytes) -> dict[str, Any]:
    """What the page says, by the names of a listing; keys that it lacks are absent.

    libxml2 stops at a depth that no page of a store has, so that no page takes long.
    """
    parser = etree.HTMLParser(encoding="utf-8", no_network=True, remove_comments=True)
    try:
        tree = etree.fromstring(page, parser)
    except etree.XMLSyntaxError:
        return {}
    found: dict[str, Any] = {}
    for key, name in ONE.items():
        texts = _texts(tree, name)
        if texts:
            found[key] = texts[0]
    found |= {key: _texts(tree, name) for key, name in SEVERAL.items()}
    policies = tree.xpath('//*[@rel="privacy-policy"]/@href')
    return {**found, "policy_url": str(policies[0])} if policies else found


def _texts(tree: Any, name: str) -> list[str]:
    nodes = tree.xpath("//*[@itemprop=$name]", name=name)
    return [(node.get("content") or "".join(node.itertext()))[:TEXT] for node in nodes]
