"""Audit ad tracking by smart speakers: speak, capture, crawl, infer, report."""

__version__ = "0.1.0"
