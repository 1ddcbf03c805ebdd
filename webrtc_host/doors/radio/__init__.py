"""Audio of radio systems: uploads of recorded calls, and live streams."""
