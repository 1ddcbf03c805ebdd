"""Rules that both ports share: how audio is mixed down, how a language tag is read, who may call.

Imports neither `host_stt` nor `webrtc_host`; both of them import it.
"""

__version__ = "0.1.0"
"""Of all packages here; pyproject.toml and CHANGELOG.md carry the same."""
