"""The speech engine: windows of audio in, transcripts out. Knows no calls, browsers or time of day."""
