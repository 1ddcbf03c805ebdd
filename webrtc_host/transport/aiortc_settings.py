"""Changes module-level state of aiortc and aioice for this server. Both are pinned to the minor version.

No other module does this. The changes apply to all peers of the process, also to clients in tests.
"""

from __future__ import annotations

import aioice.ice
from aiortc import rtp
from aiortc.codecs import CODECS
from aiortc.rtcdtlstransport import (
    X509_DIGEST_ALGORITHMS,
    RTCDtlsParameters,
    RTCDtlsTransport,
    State,
    certificate_digest,
)

OPUS_PARAMETERS: dict[str, int | str | None] = {"minptime": 10, "useinbandfec": 1, "stereo": 0}
"""What the answer requests of the sender: repair data for lost packets, one channel, at least 10 ms packets.

No `usedtx`: with DTX, pauses are not sent, and a silent source looks like a dead one.
"""


def fit_aiortc() -> None:
    """Request Opus with speech settings; allow peers on a machine without a network. May be called twice.

    A codec keeps the payload type of the offer, also one below 96 (RFC 8829, 5.1.2; browsers use 35-63).
    """
    rtp.DYNAMIC_PAYLOAD_TYPES = range(128)
    if RTCDtlsTransport._validate_peer_identity is not _check_certificate:
        RTCDtlsTransport._validate_peer_identity = _check_certificate  # type: ignore[method-assign]
    for codec in CODECS["audio"]:
        if codec.mimeType.lower() == "audio/opus":
            codec.parameters.update(OPUS_PARAMETERS)
    if aioice.ice.get_host_addresses is not _host_addresses:
        aioice.ice.get_host_addresses = _host_addresses


def _check_certificate(self: RTCDtlsTransport, remoteParameters: RTCDtlsParameters) -> None:
    """Accept a certificate that matches a fingerprint of every hash function; aiortc wants all to match.

    An offer may name several certificates and use any of them (RFC 8122, section 5).
    """
    ssl = self._ssl
    certificate = None if ssl is None else ssl.get_peer_certificate(as_cryptography=True)
    matches: dict[str, bool] = {}
    for one in remoteParameters.fingerprints:
        algorithm = one.algorithm.lower()
        if certificate is not None and algorithm in X509_DIGEST_ALGORITHMS:
            is_match = one.value.upper() == certificate_digest(certificate, algorithm)
            matches[algorithm] = matches.get(algorithm, False) or is_match
    if not matches or not all(matches.values()):
        self._set_state(State.FAILED)


_aioice_host_addresses = aioice.ice.get_host_addresses


def _host_addresses(use_ipv4: bool, use_ipv6: bool) -> list[str]:
    """As aioice finds them; 127.0.0.1, which it leaves out, when there is nothing else."""
    found: list[str] = _aioice_host_addresses(use_ipv4=use_ipv4, use_ipv6=use_ipv6)
    return found or ["127.0.0.1"]
