"""The health check of the images: does 8082 respond over http or https? Any certificate is accepted."""

from __future__ import annotations

import os
import ssl
import sys
import urllib.request

PORT = os.environ.get("HOST_STT_PORT", "8082")


def is_healthy() -> bool:
    for scheme in ("http", "https"):
        try:
            trust_all = ssl._create_unverified_context() if scheme == "https" else None
            with urllib.request.urlopen(
                f"{scheme}://127.0.0.1:{PORT}/health", timeout=5, context=trust_all
            ) as answer:
                return bool(answer.status == 200)
        except OSError:
            continue
    return False


sys.exit(0 if is_healthy() else 1)
