"""Speech: blocks of audio to words with times."""
