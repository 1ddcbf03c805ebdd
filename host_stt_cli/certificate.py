"""The certificate for HTTPS: made once by this program, or two files from the operator.

A browser allows the microphone only on https or localhost. The self-signed certificate names all addresses of
this machine, so with each of them the browser shows the same single warning. It is made again if an address
is missing in it, or shortly before it expires. It is not made again when an address of this machine
disappears, because every client has to accept a new certificate.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
import socket
import ssl
import tempfile
from dataclasses import dataclass
from pathlib import Path

import ifaddr
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from host_stt_cli.errors import StartError

VALID_DAYS = 397  # the longest time that browsers accept
RENEW_DAYS = 7
CERT_NAME = "tls-cert.pem"
KEY_NAME = "tls-key.pem"

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Names:
    """The host names and addresses that a certificate is valid for."""

    hosts: frozenset[str]
    addresses: frozenset[IpAddress]

    def covers(self, other: Names) -> bool:
        return self.hosts >= other.hosts and self.addresses >= other.addresses


def local_names() -> Names:
    """localhost, the host name and all addresses; without link-local IPv6, which cannot be part of a URL."""
    addresses: set[IpAddress] = {ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("::1")}
    for adapter in ifaddr.get_adapters():
        for ip in adapter.ips:
            address = ipaddress.ip_address(ip.ip if isinstance(ip.ip, str) else ip.ip[0])
            if not (address.version == 6 and address.is_link_local):
                addresses.add(address)
    return Names(frozenset({"localhost", *_host_name()}), frozenset(addresses))


def _host_name() -> set[str]:
    """The host's name, unless a certificate cannot contain it (over 64 characters, or not ASCII)."""
    name = socket.gethostname()
    return {name} if name.isascii() and 0 < len(name) <= 64 else set()


def self_signed(folder: Path, now: datetime.datetime, names: Names | None = None) -> tuple[Path, Path]:
    """(certificate, key) in `folder`; made if missing, unreadable, about to expire, or if a name is
    missing.
    """
    names = names or local_names()
    cert, key = folder / CERT_NAME, folder / KEY_NAME
    if not _still_good(cert, key, now, names):
        try:
            _make(cert, key, now, names)
        except OSError as error:
            raise StartError(f"the certificate {cert} cannot be written: {error.strerror}.") from error
    return cert, key


def _still_good(cert: Path, key: Path, now: datetime.datetime, names: Names) -> bool:
    try:
        certificate = x509.load_pem_x509_certificate(cert.read_bytes())
        private = serialization.load_pem_private_key(key.read_bytes(), None)
        if private.public_key() != certificate.public_key():
            return False
        said = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, TypeError, x509.ExtensionNotFound):
        return False
    held = Names(
        frozenset(said.get_values_for_type(x509.DNSName)),
        frozenset(a for a in said.get_values_for_type(x509.IPAddress) if isinstance(a, IpAddress)),
    )
    ends = certificate.not_valid_after_utc - datetime.timedelta(days=RENEW_DAYS)
    return held.covers(names) and certificate.not_valid_before_utc <= now < ends


def _make(cert: Path, key: Path, now: datetime.datetime, names: Names) -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    public = private.public_key()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "host-stt")])
    alternatives: list[x509.GeneralName] = [x509.DNSName(host) for host in sorted(names.hosts)]
    alternatives += [x509.IPAddress(a) for a in sorted(names.addresses, key=lambda a: (a.version, int(a)))]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))  # for clients whose clock is slow
        .not_valid_after(now + datetime.timedelta(days=VALID_DAYS))
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False)
        .sign(private, hashes.SHA256())
    )
    secret = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    _replace(key, secret, 0o600)
    _replace(cert, certificate.public_bytes(serialization.Encoding.PEM), 0o644)


def _replace(path: Path, data: bytes, mode: int) -> None:
    """Replace the file in one step. Other users cannot read it at any time (mkstemp makes it 0600)."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        os.fchmod(file.fileno(), mode)
    os.replace(name, path)


def fingerprint(cert: Path) -> str:
    """SHA-256, as browsers show it: AB:CD:..."""
    digest = x509.load_pem_x509_certificate(cert.read_bytes()).fingerprint(hashes.SHA256())
    return digest.hex(":").upper()


def server_context(cert: Path, key: Path) -> ssl.SSLContext:
    """A TLS context (1.2 and up) with these files. Raises StartError with a sentence if they cannot be
    used.
    """
    for name, path in (("tls.cert", cert), ("tls.key", key)):
        try:
            path.read_bytes()
        except OSError as error:
            raise StartError(f"{name} {path} cannot be read: {error.strerror}.") from error
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(cert, key, password=_no_password)
    except _PasswordAskedError as error:
        raise StartError(f"tls.key {key} is protected by a password; give a key without one.") from error
    except ssl.SSLError as error:
        raise StartError(_why_refused(cert, key, error)) from error
    return context


class _PasswordAskedError(Exception):
    pass


def _no_password() -> str:
    raise _PasswordAskedError  # else OpenSSL asks on the terminal, and the server waits for ever


def _why_refused(cert: Path, key: Path, error: ssl.SSLError) -> str:
    try:
        certificate = x509.load_pem_x509_certificate(cert.read_bytes())
    except ValueError:
        return f"tls.cert {cert} is not a PEM certificate."
    try:
        private = serialization.load_pem_private_key(key.read_bytes(), None)
    except (ValueError, TypeError):
        return f"tls.key {key} is not a PEM private key."
    if private.public_key() != certificate.public_key():
        return f"tls.key {key} does not belong to tls.cert {cert}."
    return f"tls.cert {cert} and tls.key {key} were refused: {error.reason or error}."
