"""Start WhisperLive's server in its own environment; its `run_server.py` is not in the PyPI package.

One argument: the settings of `TranscriptionServer.run` as JSON.
"""

import json
import sys

# in its own environment
from whisper_live.server import TranscriptionServer  # type: ignore[import-not-found]

if __name__ == "__main__":
    TranscriptionServer().run("127.0.0.1", **json.loads(sys.argv[1]))
