from __future__ import annotations

import hashlib
import hmac

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from oa_sync.errors import ConfigurationError
from oa_sync.webhooks.signature import is_signature, is_signed, parse_secrets

BODY = b'{"run_id": "run_1"}'
# Computed with `openssl dgst -sha256 -hmac whsec_1`.
KNOWN = "0cc44a1ee61a6227ff86878c3144b6b7ed4f8e9b463d2cc095833a1a99319ba1"


def mac(body: bytes, secret: str) -> str:
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


secrets = st.text(st.characters(codec="utf-8", exclude_characters=","), min_size=1).filter(
    lambda text: text.strip() == text
)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (KNOWN, True),
        (KNOWN.upper(), True),
        (f"sha256={KNOWN}", True),
        ("0" * 64, True),
        (f"sha1={KNOWN}", False),
        (KNOWN[1:], False),
        (f"{KNOWN}0", False),
        (f"{KNOWN}\n", False),
        ("sha256=", False),
        ("", False),
        (None, False),
    ],
)
def test_what_has_the_form_of_a_signature(header: str | None, expected: bool) -> None:
    assert is_signature(header) is expected


def test_signature_agrees_with_another_implementation() -> None:
    assert is_signed(BODY, KNOWN, ["whsec_1"])


@given(st.binary(), secrets, st.sampled_from(["", "sha256="]), st.booleans())
def test_bare_and_prefixed_hex_of_the_right_secret_verify(
    body: bytes, secret: str, prefix: str, upper: bool
) -> None:
    digits = mac(body, secret)
    assert is_signed(body, prefix + (digits.upper() if upper else digits), [secret])


@given(st.binary(), st.binary(), secrets)
def test_signature_of_another_body_does_not_verify(body: bytes, other: bytes, secret: str) -> None:
    assert is_signed(body, mac(other, secret), [secret]) == (body == other)


@given(st.binary(), st.text() | st.from_regex(r"(sha256=)?[0-9a-f]{60,68}\s?", fullmatch=True))
@example(b"{}", "RIGHT ")
@example(b"{}", " RIGHT")
@example(b"{}", "SHA256=RIGHT")
def test_any_other_header_is_refused_and_never_an_error(body: bytes, header: str) -> None:
    """`RIGHT` stands for the signature of the body."""
    assert not is_signed(body, header.replace("RIGHT", mac(body, "s")), ["s"])


@given(st.integers(0, 63), st.sampled_from("0123456789abcdef"))
def test_a_single_wrong_digit_is_refused(position: int, digit: str) -> None:
    right = mac(BODY, "s")
    header = right[:position] + digit + right[position + 1 :]
    assert is_signed(BODY, header, ["s"]) == (header == right)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda right: None,
        lambda right: "",
        lambda right: "sha256=",
        lambda right: "sha1=" + right,
        lambda right: "sha256=sha256=" + right,
        lambda right: right + "00",
        lambda right: right[:-2],
        lambda right: right + "\n",
        lambda right: " ".join(right[i : i + 2] for i in range(0, 64, 2)),
        lambda right: f"{right},{right}",
    ],
)
def test_malformed_forms_are_refused(spoil) -> None:
    assert not is_signed(BODY, spoil(mac(BODY, "s")), ["s"])


def test_during_a_rotation_both_secrets_verify_and_no_third() -> None:
    both = parse_secrets("new-one, old-one")
    assert both == ("new-one", "old-one")
    assert is_signed(BODY, mac(BODY, "new-one"), both)
    assert is_signed(BODY, mac(BODY, "old-one"), both)
    assert not is_signed(BODY, mac(BODY, "new-one, old-one"), both)


def test_secret_of_bytes_that_are_no_text_signs_with_these_bytes() -> None:
    from_environment = b"\xff\xfe".decode("utf-8", "surrogateescape")
    signature = hmac.new(b"\xff\xfe", BODY, hashlib.sha256).hexdigest()
    assert is_signed(BODY, signature, [from_environment])


@pytest.mark.parametrize("value", [None, "", "  ", ",", "hidden-1,", ",hidden-1", "a1b2,c3d4,e5f6"])
def test_unusable_secrets_are_a_configuration_error_that_tells_none(value: str | None) -> None:
    with pytest.raises(ConfigurationError, match="OPENANALYST_WEBHOOK_SECRET") as raised:
        parse_secrets(value)
    assert not any(part in str(raised.value) for part in ("hidden", "a1b2", "c3d4", "e5f6"))


@pytest.mark.parametrize("value", [None, "", "  "])
def test_no_secret_is_told_apart_from_one_that_is_empty(value: str | None) -> None:
    with pytest.raises(
        ConfigurationError, match="no webhook secret: set OPENANALYST_WEBHOOK_SECRET"
    ):
        parse_secrets(value)
    with pytest.raises(ConfigurationError, match="nothing before or after a comma"):
        parse_secrets("a, ")
