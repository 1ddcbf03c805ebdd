"""The speech engine: windows of audio in, transcripts out. Knows nothing of channels' sockets or time of day."""
