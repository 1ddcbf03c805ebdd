"""Sessions, their channels and the connections that feed the channels."""
