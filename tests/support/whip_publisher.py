"""FFmpeg's WHIP muxer as a program: publishes bursts of a tone, then ends. It is foreign code.

`python -m tests.support.whip_publisher URL FOLDER TOKEN HERTZ SECONDS ONSET…`; the certificate is
written to FOLDER, because FFmpeg's own one fails DTLS with aiortc (P-256 is required). It is a separate
process, because PyAV holds the interpreter's lock while the muxer waits for the server.
"""

from __future__ import annotations

import datetime
import sys
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.support.peers import FRAME, tone_bursts

RATE = 48_000


def write_certificate(folder: Path) -> tuple[Path, Path]:
    """A self-signed P-256 certificate and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "publisher")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = folder / "whip.crt", folder / "whip.key"
    certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return certificate_file, key_file


def publish(url: str, folder: Path, token: str, hertz: float, seconds: float, onsets_s: list[float]) -> None:
    certificate_file, key_file = write_certificate(folder)
    options = {"authorization": token, "cert_file": str(certificate_file), "key_file": str(key_file)}
    with av.open(url, "w", format="whip", options=options) as container:
        stream = container.add_stream("libopus", rate=RATE)
        stream.layout = "stereo"
        began_s = time.monotonic()
        for number, piece in enumerate(tone_bursts(hertz, onsets_s, seconds).reshape(-1, FRAME)):
            time.sleep(max(0.0, began_s + number * FRAME / RATE - time.monotonic()))
            frame = av.AudioFrame.from_ndarray(np.repeat(piece, 2)[np.newaxis, :], "s16", "stereo")
            frame.sample_rate, frame.pts, frame.time_base = RATE, number * FRAME, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


if __name__ == "__main__":
    url, folder, token, hertz, seconds, *onsets = sys.argv[1:]
    publish(url, Path(folder), token, float(hertz), float(seconds), [float(onset) for onset in onsets])
