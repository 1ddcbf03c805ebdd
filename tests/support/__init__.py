"""Helpers the suites share; each module says what it stands in for."""
