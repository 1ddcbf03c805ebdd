"""Summaries of sessions, channels and time ranges, by a language model or by choosing lines."""
