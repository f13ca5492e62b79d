"""The embedded lab: a simulated world, reached only by sound and network.

The command line asks four things of it: which settings lead the instruments there (`overlay`), to
go to its machine (`enter`, `inside`), to switch it on (`boot`), and whether it can run here
(`check`).
"""

from __future__ import annotations

from echoaudit.lab.boot import boot, check, overlay
from echoaudit.lab.namespaces import enter, inside

__all__ = ["boot", "check", "enter", "inside", "overlay"]
