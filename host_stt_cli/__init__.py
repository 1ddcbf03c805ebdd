"""The `host-stt` command; the only place that sees both packages."""

__version__ = "0.1.0"
