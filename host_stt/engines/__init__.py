"""Speech engines with one Protocol: `whisper` decodes, `fake` imitates it for tests (not in the wheel)."""
