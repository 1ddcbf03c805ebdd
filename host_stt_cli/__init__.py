"""The `host-stt` command. Only this package may import both servers."""

from host_stt_common import __version__ as __version__
