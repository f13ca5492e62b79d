"""What a study claims."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from echoaudit.errors import BadInput

if TYPE_CHECKING:
    from echoaudit.study.models import Claim


def claims_of(study: Any) -> list[Claim]:
    """The claims in the study's values as recorded; raises ``BadInput``."""
    from pydantic import TypeAdapter, ValidationError

    from echoaudit.study.models import Claim

    stated = study.get("claims", []) if isinstance(study, dict) else []
    try:
        return TypeAdapter(list[Claim]).validate_python(stated)
    except ValidationError as error:
        raise BadInput(f"study.json has unusable claims: {error.errors()[0]['msg']}") from error
