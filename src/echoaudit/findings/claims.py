"""What a study claims, and what is claimed after it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from echoaudit.errors import BadInput

if TYPE_CHECKING:
    import pandas as pd

    from echoaudit.study.models import Claim


@dataclass(frozen=True)
class Later:
    """Claims stated after the run; they are kept with the findings, which cite their hash."""

    claims: tuple[Claim, ...] = ()

    @property
    def data(self) -> bytes:
        """The claims as canonical JSON."""
        from echoaudit.recording.jsonfile import canonical

        return canonical([claim.model_dump(mode="json") for claim in self.claims]) + b"\n"

    @property
    def sha256(self) -> str:
        """Hash of :attr:`data`."""
        return hashlib.sha256(self.data).hexdigest()


NONE_LATER = Later()


def claims_of(study: Any) -> list[Claim]:
    """The claims in the study's values as recorded; raises ``BadInput``."""
    stated = study.get("claims", []) if isinstance(study, dict) else []
    return _claims(stated, "study.json")


def about_interests(claims: Sequence[Claim], data_requests: pd.DataFrame) -> list[Claim]:
    """A question for each compared pair of personas, once the platform was asked about them.

    Data requests come after the run, so a study's own claims seldom foresee them: was a persona
    given interests that its control was not? Nothing when a claim asks about interests already.
    """
    from echoaudit.study.models import Claim

    if data_requests.empty or any(claim.outcome == "interests" for claim in claims):
        return []
    taken = {claim.claim for claim in claims}
    pairs = dict.fromkeys((claim.treated, claim.control) for claim in claims)
    names = {pair: f"{pair[0]}-interests" for pair in pairs}
    return [
        Claim(
            claim=name,
            outcome="interests",
            measure="exclusive",
            direction="higher",
            treated=treated,
            control=control,
            family="interests",
            correction="bh",
            exploratory=True,
        )
        for (treated, control), name in names.items()
        if name not in taken and list(names.values()).count(name) == 1
    ]


def parse_later(data: bytes, name: str) -> Later:
    """Claims as :attr:`Later.data` has them; raises ``BadInput``, which names ``name``."""
    from echoaudit.recording.jsonfile import parse

    return Later(tuple(_claims(parse(data, file=name), name)))


def _claims(stated: Any, name: str) -> list[Claim]:
    from pydantic import TypeAdapter, ValidationError

    from echoaudit.study.checks import check_stated
    from echoaudit.study.models import Claim

    try:
        claims = TypeAdapter(list[Claim]).validate_python(stated)
    except ValidationError as error:
        raise BadInput(f"{name} has unusable claims: {error.errors()[0]['msg']}") from error
    for problem in check_stated(claims):
        raise BadInput(
            f"{name} has unusable claims: {problem.found}; allowed: {problem.allowed}; "
            f"example: {problem.example}"
        )
    return claims


def read_later(path: Path, study: Any) -> Later:
    """The claims of a YAML file (``claims:`` as in a study) about a recorded study.

    Raises:
        BadInput: another form, a persona that took no part, or the name of a claim that the study
            has; named with its line.
    """
    from echoaudit.study.checks import check_claims, check_stated, check_testable
    from echoaudit.study.loader import load_as
    from echoaudit.study.models import ClaimsFile
    from echoaudit.study.typed import Problem

    taken = {claim.claim for claim in claims_of(study)}
    personas = _personas(study)

    def problems(file: ClaimsFile) -> list[Problem]:
        again = [
            Problem(
                ("claims", index, "claim"),
                f"claim {claim.claim!r}, which the study has already",
                "a name of its own",
                f"claim: {claim.claim}-again",
            )
            for index, claim in enumerate(file.claims)
            if claim.claim in taken
        ]
        stated = [*check_stated(file.claims), *check_testable(file.claims)]
        return [*stated, *check_claims(file.claims, personas), *again]

    return Later(load_as(ClaimsFile, path, check=problems).claims)


def _personas(study: Any) -> list[str]:
    stated: Sequence[Any] = study.get("personas") or () if isinstance(study, dict) else ()
    return [str(one.get("persona")) for one in stated if isinstance(one, dict)]
