"""What a user writes, and the plan of steps that follows from it."""

from echoaudit.study.loader import (
    LoadedPersona,
    LoadedStudy,
    load_as,
    load_catalogue,
    load_config,
    load_persona,
    load_study,
    restore_study,
)
from echoaudit.study.overrides import merge
from echoaudit.study.plan import Account, Plan, Step, Track, Wave, describe
from echoaudit.study.schemas import schemas

__all__ = [
    "Account",
    "LoadedPersona",
    "LoadedStudy",
    "Plan",
    "Step",
    "Track",
    "Wave",
    "describe",
    "load_as",
    "load_catalogue",
    "load_config",
    "load_persona",
    "load_study",
    "merge",
    "restore_study",
    "schemas",
]
