"""Audio that is read later: after a crash, after a network gap, after an engine failure."""
