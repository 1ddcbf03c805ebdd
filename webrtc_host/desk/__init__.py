"""Desk: what watchers and operators ask of the server."""
