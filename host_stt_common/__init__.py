"""Rules that both ports share: mix-down of audio, reading of language tags, access checks.

Imports neither `host_stt` nor `webrtc_host`; both of them import it.
"""

__version__ = "0.1.0"
"""The version of all packages of this project; pyproject.toml and CHANGELOG.md contain the same number."""
