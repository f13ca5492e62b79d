"""Lists that the user installs: who calls a host advertising or
tracking, by which rule, and whose they say it is.

None comes with echoaudit. An installed list is kept by the SHA-256 of its text, so that findings
that name it can be computed again.
"""

from echoaudit.lists.matching import Match, Matcher, matcher
from echoaudit.lists.reading import Format
from echoaudit.lists.store import OWN, Installed, Store

__all__ = ["OWN", "Format", "Installed", "Match", "Matcher", "Store", "matcher"]
