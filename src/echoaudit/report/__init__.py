"""One HTML file that anyone can read: verdicts, what they rest on, and how to check them."""

from echoaudit.report.coverage import warnings
from echoaudit.report.render import render

__all__ = ["render", "warnings"]
