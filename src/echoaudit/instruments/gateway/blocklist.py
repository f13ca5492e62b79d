"""Files of domains that DNS refuses: hosts files and plain lists."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from ipaddress import ip_address
from pathlib import Path

from echoaudit.errors import BadInput

_LABEL = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
_DOMAIN = re.compile(rf"(?=.{{1,253}}$){_LABEL}(\.{_LABEL})+")


def read_blocklists(paths: Iterable[Path]) -> frozenset[str]:
    """All domains of the files.

    Raises:
        BadInput: a file cannot be read, or a line is neither a domain nor a hosts entry.
    """
    domains: set[str] = set()
    for path in paths:
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not UTF-8 text"
            raise BadInput(f"block list cannot be read: {reason}", file=path) from error
        domains.update(parse_blocklist(text, path))
    return frozenset(domains)


def parse_blocklist(text: str, file: Path) -> Iterator[str]:
    """The domains of one list; ``file`` is for error messages.

    Names without a dot (localhost and its like, which hosts files carry) block nothing.
    """
    for number, raw in enumerate(text.splitlines(), 1):
        words = raw.split("#", 1)[0].split()
        names = words[1:] if words and _is_address(words[0]) else words
        if len(words) - len(names) != 1 and len(names) > 1:
            raise _unusable(raw, file, number)
        for name in (n.lower().rstrip(".") for n in names):
            if "." not in name or _is_address(name):
                continue
            if not _DOMAIN.fullmatch(name):
                raise _unusable(raw, file, number)
            yield name


def is_blocked(name: str, domains: frozenset[str]) -> bool:
    """Whether a name or one of its parents is in the lists."""
    labels = name.lower().rstrip(".").split(".")
    return any(".".join(labels[start:]) in domains for start in range(len(labels)))


def _unusable(line: str, file: Path, number: int) -> BadInput:
    return BadInput(
        f"{line.strip()[:80]!r} is no entry of a block list;"
        " write one domain a line, or a hosts entry (0.0.0.0 ads.example.com)",
        file=file,
        line=number,
    )


def _is_address(word: str) -> bool:
    try:
        ip_address(word)
    except ValueError:
        return False
    return True
