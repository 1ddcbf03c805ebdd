"""The `host-stt` command; the only place that sees both packages."""

from host_stt_common import __version__ as __version__
