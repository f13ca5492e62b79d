"""What a study claims when it does not say: one prediction per persona, and some questions.

One confirmatory claim per persona keeps Holm's family as small as the number of personas. What else
is worth a look is asked in an exploratory family of its own, under Benjamini and Hochberg's
correction, so that curiosity costs the prediction no power. Speakers' contacts have no default
claim: a control that is not spoken to contacts fewer hosts for that reason alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from echoaudit.study.models import Claim, Config, Measure

if TYPE_CHECKING:
    from echoaudit.study.loader import LoadedPersona

QUESTIONS = "questions"
"""The family of the default exploratory claims."""
ASKED: tuple[Measure, ...] = ("rate", "value-per-opportunity", "maximum")
"""What is asked about bids besides their value, which is predicted."""


def default_claims(personas: Iterable[LoadedPersona], config: Config) -> tuple[Claim, ...]:
    """The claims of a study that states none: predictions first, then questions."""
    pairs = [(one, one.persona.control) for one in personas if one.persona.control is not None]
    predictions = [
        Claim(claim=f"{one.name}-above-{control}", treated=one.name, control=control)
        for one, control in pairs
    ]
    asked = [(one, control) for one, control in pairs if one.treated or one.persona.opt_out]
    questions = [claim for one, control in asked for claim in _questions(one, control, config)]
    return (*predictions, *questions)


def _questions(loaded: LoadedPersona, control: str, config: Config) -> Iterator[Claim]:
    base = Claim(
        claim=f"{loaded.name}-syncs",
        outcome="syncs",
        measure="distance",
        direction="different",
        treated=loaded.name,
        control=control,
        family=QUESTIONS,
        correction="bh",
        exploratory=True,
    )
    for measure in ASKED:
        asked = {"claim": f"{loaded.name}-{measure}", "outcome": "bids", "measure": measure}
        yield base.model_copy(update={**asked, "direction": "higher"})
    yield base
    own = loaded.persona.streams
    if loaded.persona.speaks and (config.streams if own is None else own):
        heard = {"claim": f"{loaded.name}-ads-of-its-own", "outcome": "creatives"}
        yield base.model_copy(update={**heard, "measure": "exclusive", "direction": "higher"})
