"""What is said of the address of a database never holds its password, however it is written."""

from __future__ import annotations

import pytest

from oa_sync.errors import ConfigurationError
from oa_sync.load.postgres.address import address
from oa_sync.quota.postgres_address import place_of
from oa_sync.quota.postgres_ledger import PostgresLedger

UNREADABLE = {
    "an @ in the password": "postgresql://me:hunter@hunter2@127.0.0.1:9/db",
    "a null byte in the password": "postgresql://me:hunter%002@127.0.0.1:9/db",
}
QUOTED_BY_THE_DRIVER = {
    **UNREADABLE,
    "a / in the password": "postgresql://me:hun/hunter2@127.0.0.1:9/db",
    "a % in the password": "postgresql://me:hunter2%zz@127.0.0.1:9/db",
    "a [ before the host": "postgresql://me:hunter2@[::1/db",
    "a word after the host": "postgresql://me:hunter2@[::1]x/db",
    "a port that is no number": "postgresql://me:hunter2@127.0.0.1:notaport/db",
}


@pytest.mark.parametrize("url", QUOTED_BY_THE_DRIVER.values(), ids=QUOTED_BY_THE_DRIVER)
def test_the_password_of_an_address_that_cannot_be_read_is_not_told(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"--quota-url .*check the address") as caught:
        PostgresLedger(url)
    assert "hunter" not in str(caught.value)


@pytest.mark.parametrize("url", UNREADABLE.values(), ids=UNREADABLE)
def test_the_password_of_a_destination_that_cannot_be_read_is_not_told(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", url)
    with pytest.raises(ConfigurationError, match="destination postgres") as caught:
        address()
    assert "hunter" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("postgresql://me:hunter2@db.example:5433/quota?sslmode=require", "db.example/quota"),
        ("postgresql://me:%40%2F%25@db.example/quota", "db.example/quota"),
        ("postgresql://me@db.example/a%40b?application_name=a@b", "db.example/a@b"),
        ("postgresql://[::1]:5433/quota", "::1/quota"),
        ("postgresql://db.example", "db.example/"),
        ("postgresql:///quota", "local/quota"),
        ("postgresql://", "local/"),
    ],
)
def test_an_address_that_can_be_read_is_named_by_host_and_database(url: str, place: str) -> None:
    assert place_of(url, "--quota-url") == place
