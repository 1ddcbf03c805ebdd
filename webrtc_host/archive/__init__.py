"""Recorded audio on disk: Ogg Opus files, their writer, playback and retention."""
