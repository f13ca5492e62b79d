"""Drawings as static SVG: no script, no fonts of their own, the page's colours.

They are drawn here rather than by a plotting library because the same bytes must come out on every
machine, whatever fonts it has, and because the colours must follow the page (light, dark, print).
"""
