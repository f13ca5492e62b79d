"""HTML from the templates beside this file; everything filled in is escaped."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

PACKAGE = "echoaudit.lab.cloud"


@cache
def _environment() -> Environment:
    loader = PackageLoader(PACKAGE, "templates")
    return Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render(template: str, **values: Any) -> str:
    """The text of ``templates/NAME`` with ``values``."""
    return _environment().get_template(template).render(**values)


def script_text(name: str) -> str:
    """The text of the script ``templates/NAME``."""
    return files(PACKAGE).joinpath("templates", name).read_text(encoding="utf-8")
