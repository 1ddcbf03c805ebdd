"""Helpers that several test packages share. Each module's docstring says which real part it replaces."""
