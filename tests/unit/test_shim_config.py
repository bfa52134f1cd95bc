"""What the environment says: each value checked, with its name and a cure in the error, and no credential in any."""

from __future__ import annotations

import pytest
from cupool.shim import config
from cupool.shim.lease import status_error

from cupool.contract.errors import PoolUnreachable


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("CUPOOL_ADDR", "localhost", "host:port"),
        ("CUPOOL_ADDR", "http://pool:7070", "host:port"),
        ("CUPOOL_ADDR", "unix:", "unix:/path"),
        ("CUPOOL_ADDR", "pool:seventy", "host:port"),
        ("CUPOOL_ADDR", ":7070", "host:port"),
        ("CUPOOL_ADDR", "pool:70000", "host:port"),
        ("CUPOOL_TOKEN", "se\ncret", "line break"),
        ("CUPOOL_TOKEN", "sécret", "ASCII"),
        ("CUPOOL_DEADLINE_S", "inf", "number of seconds"),
        ("CUPOOL_RECONNECT_S", "nan", "number of seconds"),
        ("CUPOOL_RECONNECT_S", "-1", "number of seconds"),
        ("CUPOOL_REDO", "much", "not a size"),
        ("CUPOOL_MEMORY", "4 apples", "not a size"),
        ("CUPOOL_DURABILITY", "forever", "is none of 'replay', 'node', 'file', 'none'"),
        ("CUPOOL_TRANSPORT", "udp", "none of 'auto', 'light', 'core', 'grpc'"),
    ],
)
def test_what_makes_no_sense_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str, says: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=says) as caught:
        config._read()
    assert name in str(caught.value)
    assert "cret" not in str(caught.value)


def test_a_files_last_line_break_is_not_part_of_a_credential(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUPOOL_TOKEN", " secret\n")
    monkeypatch.setenv("CUPOOL_ADDR", "[::1]:7070\n")
    settings = config._read()
    assert (settings.token, settings.addr) == ("secret", "[::1]:7070")


def test_a_pools_own_cure_is_not_followed_by_another() -> None:
    said = "The pool has no free device: 2 of 2 are taken. Try again later, or wait in line: CUPOOL_DEADLINE_S."
    error = status_error("RESOURCE_EXHAUSTED", said, "the pool at unix:/p", is_pool=True)
    assert str(error).count("Try again later") == 1
    assert "ask the pool's operator" in str(
        status_error("RESOURCE_EXHAUSTED", "Full.", "the pool at unix:/p", is_pool=True)
    )


@pytest.mark.parametrize(
    ("details", "wanted"),
    [
        (
            "Custom verification check failed with error: UNAUTHENTICATED: Hostname Verification Check failed.",
            "made out to",
        ),
        ("Tls handshake failed: SSL_ERROR_SSL: CERTIFICATE_VERIFY_FAILED: unable to get local issuer", "Set CUPOOL_CA"),
        ("Tls handshake failed: SSL_ERROR_SSL: WRONG_VERSION_NUMBER: Invalid certificate", "unset CUPOOL_CA"),
        ("Connection refused", "unset it for a pool of this process's own"),
    ],
)
def test_what_does_not_fit_about_tls_has_a_cure_of_its_own(details: str, wanted: str) -> None:
    error = status_error("UNAVAILABLE", details, "the pool at p:1", is_pool=True)
    assert isinstance(error, PoolUnreachable) and wanted in error.cure
