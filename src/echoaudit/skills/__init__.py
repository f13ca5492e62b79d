"""Catalogues of skills: read from a store's lists and pages, checked, and written."""

from echoaudit.skills.importing import Import, import_skills
from echoaudit.skills.lint import Finding, lint
from echoaudit.skills.listing import Listing, Rejected
from echoaudit.skills.utterances import utterances
from echoaudit.skills.writing import written

__all__ = [
    "Finding",
    "Import",
    "Listing",
    "Rejected",
    "import_skills",
    "lint",
    "utterances",
    "written",
]
