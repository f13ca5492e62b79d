"""What a reader could not use of a capture: counted, so that nothing is lost in silence."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Notes:
    """Counts kept while one capture is read."""

    unread: Counter[str] = field(default_factory=Counter)
    """Why packets, names or bytes could not be used, with counts; any makes a capture partial."""
    other: Counter[str] = field(default_factory=Counter)
    """Packets that belong to no flow and need none: ARP, ICMP and the like."""
    hidden: Counter[str] = field(default_factory=Counter)
    """What hides names, with the number of connections; they are read, so nothing is lost."""
    leftover: int = 0
    """Bytes after the last whole record."""
    dropped: int = 0
    """Packets that the capturing machine says it lost."""

    @property
    def partial(self) -> bool:
        """Whether the capture holds, or should hold, more than was read."""
        return bool(self.unread or self.leftover or self.dropped)

    def lines(self) -> list[str]:
        """One plain line per shortcoming, in a stable order."""
        lines = [f"{reason}: {count}" for reason, count in sorted(self.unread.items())]
        lines += [f"names hidden by {how}: {count}" for how, count in sorted(self.hidden.items())]
        if self.leftover:
            lines.append(f"bytes after the last whole record: {self.leftover}")
        if self.dropped:
            lines.append(f"packets lost by the capturing machine: {self.dropped}")
        return lines
