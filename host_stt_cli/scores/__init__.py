"""The parts of `host-stt score`: read the files, normalise the text, and measure."""
