"""Transcript: the ordered record of what happened and what was said."""
