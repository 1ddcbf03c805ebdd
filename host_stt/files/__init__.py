"""Whole recordings: decode the file, cut it at pauses, transcribe the pieces, and join the results."""
