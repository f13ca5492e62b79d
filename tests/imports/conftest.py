"""Lets tests here share the capture builders of the outcomes' tests, and the ports of all."""

import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(Path(__file__).parent), str(TESTS / "outcomes"), str(TESTS)]
