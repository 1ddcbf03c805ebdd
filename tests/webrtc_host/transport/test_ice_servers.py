"""Credentials with an expiry time, as coturn checks them."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest
from pydantic import ValidationError

from webrtc_host.config import IceServer
from webrtc_host.transport.ice_servers import IssuedServer, issue

NOW_S = 1_800_000_000.7
URLS = ("turn:turn.example:3478",)


def test_a_fixed_password_is_passed_on_as_it_is() -> None:
    (server,) = issue([IceServer(urls=URLS, username="desk", credential="open")], NOW_S)
    assert server == IssuedServer(URLS, "desk", "open")


def test_a_stun_server_has_no_credential() -> None:
    assert issue([IceServer(urls=("stun:stun.example",))], NOW_S) == (IssuedServer(("stun:stun.example",)),)


def test_a_shared_secret_gives_a_user_name_with_expiry_and_its_signature() -> None:
    (server,) = issue([IceServer(urls=URLS, username="desk", secret="s3cret", credential_s=3600)], NOW_S)
    assert server.username == "1800003600:desk"
    proof = hmac.digest(b"s3cret", b"1800003600:desk", hashlib.sha1)
    assert base64.b64decode(server.credential) == proof
    assert "s3cret" not in repr(server)


def test_without_a_name_the_user_name_is_the_expiry_time_alone() -> None:
    (server,) = issue([IceServer(urls=URLS, secret="s3cret")], NOW_S)
    assert server.username == "1800086400"


def test_a_password_together_with_a_secret_is_refused() -> None:
    with pytest.raises(ValidationError, match="`credential` or `secret`, not both"):
        IceServer(urls=URLS, credential="open", secret="s3cret")
