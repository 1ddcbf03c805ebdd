"""The glossary lab: speech with and without terms, read with and without a glossary, and scored.

`host-stt glossary speak` makes the speech, `test` reads and scores it, and `train` collects mis-hearings of
each term. Needs no server: the engine runs in this process.
"""
