"""Media: packets to 16 kHz mono blocks on a channel's timeline."""
