"""Media: turns packets into 16 kHz mono blocks on a channel's timeline."""
