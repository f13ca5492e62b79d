"""What is said to a speaker in one session, and what came back."""

from __future__ import annotations

