"""Ours and other live servers under one load, judged by their screens: `scripts/compare_rivals.py`."""
