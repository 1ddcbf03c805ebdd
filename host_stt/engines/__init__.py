"""Speech engines behind one Protocol: `whisper` decodes, `fake` imitates for tests (not in the wheel)."""
