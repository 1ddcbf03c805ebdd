"""Clients of other services against a running server, for `scripts.check_clients`: a module for each."""
