"""Evaluation of live transcription with recorded speech: play, score, report."""
