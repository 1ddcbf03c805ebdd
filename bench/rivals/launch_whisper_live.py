"""Starts WhisperLive's server in its own environment: its `run_server.py` is not part of what PyPI holds.

One argument: the settings of `TranscriptionServer.run` as JSON.
"""

import json
import sys

from whisper_live.server import TranscriptionServer  # type: ignore[import-not-found]  # in its own environment

if __name__ == "__main__":
    TranscriptionServer().run("127.0.0.1", **json.loads(sys.argv[1]))
