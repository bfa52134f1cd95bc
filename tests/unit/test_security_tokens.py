"""Tokens: what opens which door, what is stored, and that their text leaves nothing through logs, errors and command lines."""

from __future__ import annotations

import io
import logging
import secrets
from dataclasses import replace

import pytest
from cupool.pool.security import tokens

from cupool.contract import redaction

NOW = 1_000_000.0


def credentials(*records: tokens.TokenRecord, fixed: tuple[tokens.TokenRecord, ...] = ()) -> tokens.Credentials:
    return tokens.Credentials({record.id: record for record in records}.get, fixed)


def refusal(found: tokens.Credentials, shown: str, role: str, now: float = NOW) -> tokens.TokenRefused:
    with pytest.raises(tokens.TokenRefused) as info:
        found.check(shown, role, now)
    return info.value


def test_a_token_opens_what_its_role_may_and_no_more():
    may = {
        "client": {"client"}, "agent": {"agent"}, "viewer": {"viewer"},
        "operator": {"viewer", "operator", "balancer"}, "admin": {"viewer", "operator", "admin", "balancer"}, "balancer": {"balancer"},
    }  # fmt: skip
    for role in tokens.ROLES:
        token, record = tokens.create(role, now=NOW)
        found = credentials(record)
        for door in tokens.ROLES:
            if door in may[role]:
                assert found.check(token, door, NOW) == record
            else:
                error = refusal(found, token, door)
                assert (
                    error.why == "role" and error.is_known and error.token_id == record.id and token not in str(error)
                )


def test_only_a_hash_is_stored_and_it_opens_nothing():
    token, record = tokens.create("client", "acme", note="for the thumbnails", now=NOW)
    role, token_id, secret = token.removeprefix("cupool_").split("_", 2)
    assert (role, token_id) == ("client", record.id) and len(secret) == 43
    stored = repr(record) + record.sha256.hex()
    assert secret not in stored and record.sha256.hex() not in repr(record)
    assert refusal(credentials(record), record.sha256.hex(), "client").why == "unknown"
    assert tokens.create("client", "acme")[0] != token


@pytest.mark.parametrize(
    "shown",
    ["", "x", "cupool_client", "cupool_client_000000000000_" + "A" * 43, "cupool_admin_{id}_{secret}", "cupool_client_{id}_" + "A" * 43,
     "cupool_client_{id}_{secret}x", "cupool_client_{id}_{secret}\n", "\udcff", "é" * 5000, " cupool_client_{id}_{secret}"],
)  # fmt: skip
def test_whatever_is_not_the_token_is_refused(shown):
    token, record = tokens.create("client", now=NOW)
    secret = token.rpartition(f"{record.id}_")[2]
    error = refusal(credentials(record), shown.format(id=record.id, secret=secret) if "{" in shown else shown, "client")
    assert error.why in ("none", "unknown") and not error.is_known
    assert "CUPOOL_TOKEN" in str(error) and secret not in str(error)


def test_guesses_hit_nothing():
    found = credentials(*(tokens.create("client", now=NOW)[1] for _ in range(50)))
    for _ in range(2000):
        assert (
            refusal(found, f"cupool_client_{secrets.token_hex(6)}_{secrets.token_urlsafe(32)}", "client").why
            == "unknown"
        )


def test_expiry_and_revocation():
    token, record = tokens.create("operator", valid_s=60, now=NOW)
    assert credentials(record).check(token, "viewer", NOW + 59.9).id == record.id
    assert refusal(credentials(record), token, "viewer", NOW + 60).why == "expired"
    revoked = tokens.revoke(record, "left the team", NOW + 1)
    assert refusal(credentials(revoked), token, "viewer").why == "revoked"
    assert tokens.revoke(revoked, "again", NOW + 2) is revoked, "the first reason stays"
    # Whoever does not know the secret does not learn that the id exists.
    assert refusal(credentials(revoked), token[:-1] + ("A" if token[-1] != "A" else "B"), "viewer").why == "unknown"


def test_credentials_of_any_form_come_from_files():
    found = credentials(
        fixed=(tokens.fixed("s3cret-of-a-file", "client", "acme"), tokens.fixed("another-of-a-file", "admin"))
    )
    assert found.check("s3cret-of-a-file", "client").tenant == "acme"
    assert found.check("another-of-a-file", "viewer").role == "admin"
    assert refusal(found, "s3cret-of-a-file", "admin").why == "role"
    assert "s3cret-of-a-file" not in redaction.redact("it said s3cret-of-a-file")


def test_an_open_pool_asks_for_nothing_and_still_refuses_what_is_wrong():
    found = tokens.Credentials(is_open=True)
    assert found.check("", "client").tenant == "default" and found.check("", "admin").role == "admin"
    assert refusal(found, "wrong", "client").why == "unknown"


@pytest.mark.parametrize(
    ("role", "tenant", "valid_s", "says"),
    [("root", "", 0, "Use one of"), ("client", "a b", 0, "tenant's name"), ("client", "-x", 0, "beginning"), ("client", "x" * 65, 0, "64"),
     ("admin", "acme", 0, "has no tenant"), ("client", "acme", -1, "positive")],
)  # fmt: skip
def test_impossible_tokens(role, tenant, valid_s, says):
    with pytest.raises(ValueError, match=says):
        tokens.create(role, tenant, valid_s)


def test_a_certificate_of_another_tenant_refuses_the_token():
    _, record = tokens.create("client", "acme")
    tokens.check_certificate(record, ())
    tokens.check_certificate(record, ("acme",))
    with pytest.raises(tokens.TokenRefused) as info:
        tokens.check_certificate(record, ("globex",))
    tokens.check_certificate(record, ("acme",), is_required=True)
    with pytest.raises(tokens.TokenRefused, match=r"CUPOOL_CERT.*pool.example:7443") as info:
        tokens.check_certificate(record, (), is_required=True, door="pool.example:7443")
    assert info.value.is_known and info.value.why == "certificate"
    assert info.value.why == "certificate"


def test_bearer():
    assert tokens.bearer([("x", "y"), ("authorization", "Bearer abc")]) == "abc"
    assert tokens.bearer([("authorization", "bearer  abc ")]) == "abc"
    for metadata in (
        [],
        [("authorization", "Basic abc")],
        [("authorization", b"Bearer abc")],
        [("authorization", "abc")],
    ):
        assert tokens.bearer(metadata) == ""


def test_session_tokens():
    token, sha256 = tokens.session_token()
    assert tokens.is_session_token(token, sha256) and not tokens.is_session_token(token + "x", sha256)
    assert not tokens.is_session_token("", sha256) and not tokens.is_session_token("\udcff", sha256)
    assert token not in redaction.redact(f"lease {token}.")


# ---- redaction


def every_secret() -> list[str]:
    made = [tokens.create(role)[0] for role in tokens.ROLES] + [tokens.session_token()[0]]
    return [*made, *(tokens.create("client")[0] for _ in range(200))]


@pytest.mark.parametrize(
    "around",
    ["{}", "token={}", "Bearer {}", "('authorization', 'Bearer {}')", 'session_token: "{}"', '{{"token": "{}"}}', "CUPOOL_TOKEN={} x",
     "--token {} --other", "http://{}@host/", "b'{}'", "{},{}", "\\n{}\\n"],
)  # fmt: skip
def test_no_token_survives_redaction(around):
    for token in every_secret():
        secret = token.split("_", 3)[-1] if "session" not in token else token.split("_", 2)[-1]
        text = redaction.redact(around.format(token, token))
        assert secret not in text and secret[:12] not in text and redaction.HIDDEN in text
        assert redaction.redact(text) == text


@pytest.mark.parametrize(
    "around",
    [
        "authorization: Bearer {}",
        'session_token: "{}"',
        '"admin_token": "{}"',
        "CUPOOL_TOKEN={}",
        "--admin-token {}",
        "--token={}",
    ],
)
def test_credentials_without_a_form_are_hidden_where_credentials_stand(around):
    secret = secrets.token_urlsafe(32)
    assert secret not in redaction.redact(around.format(secret))


def test_ordinary_text_stays():
    for text in (
        "session session-0123456789abcdef on server-12", "cupool_kernel_exit", "the token of the role agent", "token_sha256",
        "cupool_client_lib", "cupool_session_state", 'the token: "short"', "File \"tokens.py\", line 12",
        "tokens per second = 12345678901234567",
    ):  # fmt: skip
        assert redaction.redact(text) == text


def test_command_lines_and_environments():
    token = tokens.create("admin")[0]
    words = [
        "python",
        "--assign",
        "session-1:abc",
        "--token",
        "plain",
        "--admin-token=plain",
        "--token-file",
        "/etc/t",
        token,
    ]
    assert redaction.redact_arguments(words) == [
        "python", "--assign", "[redacted]", "--token", "[redacted]", "--admin-token=[redacted]", "--token-file", "/etc/t",
        token[: token.index("_", 13) + 1] + "[redacted]",
    ]  # fmt: skip
    shown = redaction.redact_environment(
        {"CUPOOL_TOKEN": "short", "AWS_SESSION_TOKEN": "x", "HOME": "/root", "NOTE": token}
    )
    assert shown["CUPOOL_TOKEN"] == shown["AWS_SESSION_TOKEN"] == "[redacted]" and shown["HOME"] == "/root"
    assert token not in shown["NOTE"]


def test_a_private_key_in_a_text_is_hidden():
    text = redaction.redact("x -----BEGIN EC PRIVATE KEY-----\nabc\n-----END EC PRIVATE KEY----- y")
    assert text == "x [redacted] y"


def test_logs_hide_tokens_in_messages_arguments_and_tracebacks():
    token = tokens.create("client")[0]
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(message)s"))
    redaction.install([handler])
    redaction.install([handler])
    logger = logging.Logger("test", logging.DEBUG)
    logger.addHandler(handler)
    logger.debug("shown %s", token)
    logger.debug("shown %r", {"authorization": f"Bearer {token}"})
    try:
        raise RuntimeError(f"bad {token}")
    except RuntimeError:
        logger.exception("failed")
    text = stream.getvalue()
    assert token.split("_", 3)[3] not in text and text.count("[redacted]") == 3 and "Traceback" in text


def test_a_record_is_a_value():
    _, record = tokens.create("client", "acme")
    assert replace(record, note="x").id == record.id
