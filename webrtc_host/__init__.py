"""Sockets and time: doors, media, speech, transcript and desk of the 8082 process."""
