"""docs/python.md: its blocks run on a recorded lab run and print what stands below them.

``python tests/test_python_docs.py`` writes the output anew.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs" / "python.md"
BLOCK = re.compile(r"```python\n(?P<code>.*?)```\n\n```text\n(?P<output>.*?)```", re.DOTALL)


def rewritten() -> str:
    names: dict[str, object] = {}

    def run(block: re.Match[str]) -> str:
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(compile(block["code"], str(DOCS), "exec"), names)
        printed = "".join(line.rstrip() + "\n" for line in out.getvalue().splitlines())
        return f"```python\n{block['code']}```\n\n```text\n{printed}```"

    here = Path.cwd()
    os.chdir(ROOT / "tests" / "golden")
    try:
        return BLOCK.sub(run, DOCS.read_text())
    finally:
        os.chdir(here)


def test_the_worked_example_prints_what_the_docs_show() -> None:
    assert rewritten() == DOCS.read_text(), "run: python tests/test_python_docs.py"


if __name__ == "__main__":
    DOCS.write_text(rewritten())
