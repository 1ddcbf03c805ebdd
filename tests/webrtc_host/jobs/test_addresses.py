"""Which addresses a job may fetch from: by their number, in whatever form they are written."""

from __future__ import annotations

import pytest

from host_stt_common.public_addresses import is_allowed, networks_of
from webrtc_host.errors import RequestError
from webrtc_host.jobs.addresses import checked_url, shown
from webrtc_host.jobs.service import plain_name


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946", "1.1.1.1"])
def test_a_public_address_is_allowed(address: str) -> None:
    assert is_allowed(address, ())


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0"),
        *("224.0.0.1", "255.255.255.255", "240.0.0.1", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1"),
        *("ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a00:1"),
        *("2002:7f00:1::", "2002:a00:1::", "example.org", ""),
    ],
)
def test_an_address_of_a_network_of_its_own_is_refused(address: str) -> None:
    assert not is_allowed(address, ())


def test_the_configuration_can_allow_a_network() -> None:
    allowed = networks_of(["10.20.0.0/16", "fd00::/8"])
    assert is_allowed("10.20.3.4", allowed) and is_allowed("fd00::5", allowed)
    assert is_allowed("::ffff:10.20.3.4", allowed)
    assert not is_allowed("10.21.0.1", allowed) and not is_allowed("127.0.0.1", allowed)


@pytest.mark.parametrize(
    "url",
    ["ftp://h/x", "file:///etc/passwd", "http://", "//host/x", "x", "http://h:99999/", "http://[::1/"],
)
def test_only_http_and_https_with_a_host_are_addresses(url: str) -> None:
    with pytest.raises(RequestError) as refused:
        checked_url(url)
    assert (refused.value.code, refused.value.status) == ("bad_url", 422)


def test_what_may_be_secret_is_not_shown() -> None:
    url = "https://me:pass@bucket.s3.example/a/b.wav?X-Amz-Signature=abc#x"
    assert shown(url) == "https://bucket.s3.example/a/b.wav"


@pytest.mark.parametrize(
    ("given", "kept"),
    [("C:\\rec\\night.wav", "night.wav"), ("../../etc/passwd", "passwd"), ("a\0b\n.wav", "ab.wav"), ("", "")],
)
def test_only_the_last_part_of_a_files_name_is_kept(given: str, kept: str) -> None:
    assert plain_name(given) == kept
