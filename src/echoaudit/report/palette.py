"""Which colour class stands for which persona."""

from __future__ import annotations

from collections.abc import Iterable

from echoaudit.inference import Conclusion

CONTROL = "pc"
COLOURS = 8


def palette(personas: Iterable[str], controls: Iterable[str]) -> dict[str, str]:
    """Personas to colour classes: controls are grey, the others take colours in order of names."""
    grey = set(controls)
    treated = sorted(set(personas) - grey)
    classes = {persona: f"p{i % COLOURS + 1}" for i, persona in enumerate(treated)}
    return classes | dict.fromkeys(sorted(grey), CONTROL)


def controls_of(conclusions: Iterable[Conclusion]) -> set[str]:
    """Personas that are nobody's treatment and somebody's control."""
    conclusions = list(conclusions)
    treated = {conclusion.treated.persona for conclusion in conclusions}
    return {conclusion.control.persona for conclusion in conclusions} - treated
