"""The speech engine: windows of audio in, transcripts out. No sessions, browsers or time of day."""

import os

# CTranslate2's OpenMP reads this when it is loaded, so it must be set first. By default its threads spin
# while they wait for each other, and on cores with other work they use up the time that they wait for. With
# 16 channels on two busy cores, finals had p95 19 s with spinning and 0.7 s without it
# (docs/benchmarks/engine-2-cores.txt).
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from host_stt_common import __version__ as __version__
