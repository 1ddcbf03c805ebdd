"""The speech engine: windows of audio in, transcripts out. Knows no calls, browsers or time of day."""

import os

# Read by CTranslate2's OpenMP when it is loaded, so it must stand here, before anything else. By default its
# threads spin while they wait for each other, and on cores that others use too they spin away the time they
# wait for: 16 channels on two busy cores, finals p95 19 s, so 0.7 s (docs/benchmarks/engine-2-cores.txt).
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from host_stt_common import __version__ as __version__
