from __future__ import annotations

import asyncio
import datetime
import ipaddress
import ssl
import stat
from pathlib import Path

import pytest
from aiohttp import ClientSession, TCPConnector, web
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from host_stt_cli.certificate import Names, fingerprint, local_names, self_signed, server_context
from host_stt_cli.errors import StartError

NOW = datetime.datetime(2026, 11, 21, 8, 0, tzinfo=datetime.UTC)
HOME = Names(frozenset({"localhost", "desk"}), frozenset({ipaddress.ip_address("192.0.2.7")}))


def names_in(cert: Path) -> Names:
    found = x509.load_pem_x509_certificate(cert.read_bytes())
    said = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    addresses = [ipaddress.ip_address(str(a)) for a in said.get_values_for_type(x509.IPAddress)]
    return Names(frozenset(said.get_values_for_type(x509.DNSName)), frozenset(addresses))


def test_the_certificate_names_this_machine_and_its_key_is_private(tmp_path: Path) -> None:
    cert, key = self_signed(tmp_path, NOW)
    assert names_in(cert) == local_names()
    assert names_in(cert).hosts >= {"localhost"}
    assert {str(a) for a in names_in(cert).addresses} >= {"127.0.0.1", "::1"}
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert sorted(p.name for p in tmp_path.iterdir()) == ["tls-cert.pem", "tls-key.pem"]
    private = serialization.load_pem_private_key(key.read_bytes(), None)
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    assert private.curve.name == "secp256r1"


def test_the_certificate_is_made_once(tmp_path: Path) -> None:
    cert, _ = self_signed(tmp_path, NOW, HOME)
    first = fingerprint(cert)
    self_signed(tmp_path, NOW + datetime.timedelta(days=300), HOME)
    assert fingerprint(cert) == first
    assert len(first.split(":")) == 32


def test_a_new_address_makes_a_new_one_and_a_lost_address_does_not(tmp_path: Path) -> None:
    cert, _ = self_signed(tmp_path, NOW, HOME)
    first = fingerprint(cert)
    more = Names(HOME.hosts, HOME.addresses | {ipaddress.ip_address("192.0.2.8")})
    self_signed(tmp_path, NOW, more)
    second = fingerprint(cert)
    assert second != first
    assert names_in(cert) == more
    self_signed(tmp_path, NOW, HOME)
    assert fingerprint(cert) == second


def test_a_certificate_that_expires_soon_is_made_again(tmp_path: Path) -> None:
    cert, _ = self_signed(tmp_path, NOW, HOME)
    first = fingerprint(cert)
    self_signed(tmp_path, NOW + datetime.timedelta(days=392), HOME)
    assert fingerprint(cert) != first


@pytest.mark.parametrize("broken", ["tls-cert.pem", "tls-key.pem"])
def test_a_damaged_file_is_made_again(tmp_path: Path, broken: str) -> None:
    self_signed(tmp_path, NOW, HOME)
    (tmp_path / broken).write_text("damaged", encoding="ascii")
    cert, key = self_signed(tmp_path, NOW, HOME)
    server_context(cert, key)


async def test_a_client_that_trusts_it_gets_a_page_over_https(tmp_path: Path) -> None:
    cert, key = self_signed(tmp_path, datetime.datetime.now(datetime.UTC))

    async def page(request: web.Request) -> web.Response:
        return web.Response(text=request.scheme)

    app = web.Application()
    app.router.add_get("/", page)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=server_context(cert, key))
    await site.start()
    port = runner.addresses[0][1]
    trust = ssl.create_default_context(cafile=cert)
    try:
        async with ClientSession(connector=TCPConnector(ssl=trust)) as client:
            for host in ("127.0.0.1", "localhost"):
                async with client.get(f"https://{host}:{port}/") as answer:
                    assert await answer.text() == "https"
        await asyncio.sleep(0)
    finally:
        await runner.cleanup()


def test_each_kind_of_unusable_certificate_file_has_its_own_error(tmp_path: Path) -> None:
    cert, key = self_signed(tmp_path, NOW, HOME)
    other = tmp_path / "other"
    other.mkdir()
    _, other_key = self_signed(other, NOW, HOME)
    text = tmp_path / "text.pem"
    text.write_text("hello", encoding="ascii")
    locked = tmp_path / "locked.pem"
    private = serialization.load_pem_private_key(key.read_bytes(), None)
    locked.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"password"),
        )
    )
    for pair, sentence in [
        ((tmp_path / "none.pem", key), "tls.cert .*none.pem cannot be read: No such file"),
        ((cert, tmp_path), "tls.key .* cannot be read: Is a directory"),
        ((text, key), "text.pem is not a PEM certificate"),
        ((cert, text), "text.pem is not a PEM private key"),
        ((cert, other_key), "does not belong to tls.cert"),
        ((cert, locked), "is protected by a password"),
    ]:
        with pytest.raises(StartError, match=sentence):
            server_context(*pair)
