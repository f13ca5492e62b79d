"""Reads captures damaged at random: ``python benchmarks/mutants.py [COUNT [SEED]]``.

Prints how many gave a traceback, took longer than a second of CPU, lost packets without a note,
were read otherwise by the scanner in C than by the one in Python, or were refused in one line; then
the first traceback. The exit code is 1 when any but the last happened.
``ECHOAUDIT_SCANNER=python`` reads them with Python only.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "outcomes"))
from mutants_kit import trial


def main(count: int = 100_000, seed: int = 1) -> int:
    """Run the trial and print its result."""
    result = trial(count, seed)
    print(f"{result.mutants} mutants, seed {seed}: {result.failed} tracebacks, "
          f"{result.slow} hangs, {result.silent} silent losses, {result.different} read otherwise; "
          f"{result.refused} refused; slowest {result.slowest:.2f} s")  # fmt: skip
    print(result.failure, end="")
    return int(result.failed + result.slow + result.silent + result.different > 0)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
