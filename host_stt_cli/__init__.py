"""The `host-stt` command; the only place that sees both packages."""
