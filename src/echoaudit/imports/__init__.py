"""Others' evidence as sealed recordings: captures, Pi-hole's knowledge, mitmproxy's flows, HAR.

Everything read is hostile. A source that cannot be used is refused in one line and leaves nothing
behind; a part that cannot be used is counted in the step's ``source.json``.
"""

from echoaudit.imports.captures import Device
from echoaudit.imports.pihole import Slice
from echoaudit.imports.source import Source
from echoaudit.imports.staging import Brought, Staged, Who, bring

__all__ = ["Brought", "Device", "Slice", "Source", "Staged", "Who", "bring"]
