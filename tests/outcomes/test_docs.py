"""docs/outcomes.md has a section for each outcome, with the table its schema declares.

``python tests/outcomes/test_docs.py`` writes the tables anew.
"""

import re
from pathlib import Path

import pytest

from echoaudit.outcomes import DETAILS, OUTCOMES, load

DOCS = Path(__file__).parents[2] / "docs" / "outcomes.md"
TABLE = re.compile(r"(?<=<!-- columns: )(\w+)( -->\n)(.*?)(?=<!-- end -->)", re.DOTALL)


def documented() -> dict[str, str]:
    return {found[1]: found[3].strip() for found in TABLE.finditer(DOCS.read_text())}


def test_every_outcome_is_named_after_its_module_and_has_a_section():
    assert {load(name).NAME: load(name).TABLE.name for name in OUTCOMES} == {n: n for n in OUTCOMES}
    assert list(documented()) == [*OUTCOMES, *DETAILS]
    assert {load(name).NAME: load(name).TABLE.name for name in DETAILS} == {n: n for n in DETAILS}
    for name in [*OUTCOMES, *DETAILS]:
        assert f"\n## {name}\n" in DOCS.read_text()


@pytest.mark.parametrize("name", [*OUTCOMES, *DETAILS])
def test_the_columns_are_those_of_the_schema(name):
    assert documented()[name] == load(name).TABLE.markdown()


def write() -> None:
    text = DOCS.read_text()
    DOCS.write_text(TABLE.sub(lambda m: f"{m[1]}{m[2]}{load(m[1]).TABLE.markdown()}\n", text))


if __name__ == "__main__":
    write()
