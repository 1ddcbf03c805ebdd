"""The speech engine: windows of audio in, transcripts out. Knows no calls, browsers or time of day."""

__version__ = "0.1.0"
