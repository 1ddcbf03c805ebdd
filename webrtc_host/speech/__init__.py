"""Speech: turns blocks of audio into words with times."""
