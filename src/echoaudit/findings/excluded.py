"""Which sessions a study's stated rules leave out, and why: a table, never a silence.

Evidence and facts keep these sessions. Left out they are where contacts and data are told apart by
skill: a session in which another skill answered says nothing about the one that was meant.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from echoaudit.outcomes.schema import Column, Schema

if TYPE_CHECKING:
    import pandas as pd

NAME = "excluded"
CONFOUNDED = "confounded"
TABLE = Schema(
    NAME,
    "Sessions that a rule of the study leaves out where facts are told apart by skill.",
    (
        Column("session", "string", "Step id of the session."),
        Column("account", "string", "Account whose device it was."),
        Column("persona", "string", "Persona of the account."),
        Column("skill", "string", "Id of the skill that was meant."),
        Column("rule", "string", "`confounded`: another skill than the one meant answered."),
        Column("sentences", "int", "Attempts at sentences that another skill answered."),
        Column("others", "string", "Ids of those skills."),
    ),
)


def excluded_table(study: Any, utterances: pd.DataFrame) -> pd.DataFrame:
    """The sessions left out by the rules of a recorded study; none without a rule."""
    rules = study.get("exclude") if isinstance(study, Mapping) else None
    known = isinstance(rules, Sequence) and CONFOUNDED in rules
    return TABLE.conform(_confounded(utterances) if known else [])


def _confounded(utterances: pd.DataFrame) -> Iterator[dict[str, Any]]:
    asked = utterances[utterances["confounded"].fillna(False).astype(bool)]
    keys = ["session", "account", "persona", "skill"]
    for key, own in asked.groupby(keys, sort=True):
        others = " ".join(sorted(set(own["answerer"])))
        yield dict(zip(keys, key, strict=True)) | {
            "rule": CONFOUNDED,
            "sentences": len(own),
            "others": others,
        }
