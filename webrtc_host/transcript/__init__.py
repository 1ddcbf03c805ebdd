"""Transcript: the events of each session in order, the record that stores them, search and export."""
