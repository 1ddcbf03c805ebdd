"""Speech engines behind one Protocol: `whisper` decodes, `fake` imitates for tests and demonstrations."""
