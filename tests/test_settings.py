"""Where settings come from, and what is told of one that is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from oa_sync.errors import ConfigurationError
from oa_sync.settings import resolve

KEY = "oa_" + "5" * 20


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project folder; the user's own `~/.dlt` is empty."""
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    (tmp_path / ".dlt").mkdir()
    return tmp_path


def test_a_flag_wins_over_the_environment_and_that_over_secrets_and_they_over_config(
    folder: Path,
) -> None:
    config, secrets = (folder / ".dlt" / name for name in ("config.toml", "secrets.toml"))
    assert resolve({}, environ={}, cwd=folder).rpd is None
    config.write_text("[sources.openanalyst]\nrpd = 1\n")
    assert resolve({}, environ={}, cwd=folder).rpd == 1
    secrets.write_text(f'[sources.openanalyst]\nrpd = 2\napi_key = "{KEY}"\n')
    assert resolve({}, environ={}, cwd=folder).rpd == 2
    environ = {"OA_SYNC_RPD": "3"}
    assert resolve({}, environ=environ, cwd=folder).rpd == 3
    assert resolve({"rpd": 4}, environ=environ, cwd=folder).rpd == 4
    assert resolve({"rpd": 0}, environ=environ, cwd=folder).rpd == 0, "0 is a value, not none"


def test_relative_paths_are_those_of_the_folder(folder: Path) -> None:
    settings = resolve({"database": "x/analytics.duckdb"}, environ={}, cwd=folder)
    assert settings.database == folder / "x" / "analytics.duckdb"


@pytest.mark.parametrize(
    ("name", "value", "valid"),
    [
        ("plan", "gold", "free"),
        ("dialect", "rest", "cursor"),
        ("rpm", "-1", "whole number"),
        ("rpd", "many", "whole number"),
        ("max_requests", "1.5", "whole number"),
        ("reserve", "1", "share"),
        ("reserve", "nan", "share"),
        ("full_scan_days", "-1", "0 to 3650"),
        ("full_scan_days", "weekly", "0 to 3650"),
        ("full_scan_days", "inf", "0 to 3650"),
        ("grace_seconds", "-1", "0 to 86400"),
        ("grace_seconds", "long", "0 to 86400"),
        ("workspace", "a\nb", "control character"),
        ("workspace", " ", "leave it out"),
        ("dataset_name", "a-b", "identifier"),
        ("base_url", "http://api.example.com/v1", "https://"),
        ("base_url", "https://user:pass@api.example.com", "credentials"),
        ("base_url", "ftp://api.example.com", "https://"),
        ("destination", "parquet", "--bucket-url"),
    ],
)
def test_a_wrong_value_is_told_with_what_would_be_valid(
    name: str, value: Any, valid: str, folder: Path
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        resolve({name: value}, environ={}, cwd=folder)
    assert valid in str(caught.value)


def test_the_place_of_a_wrong_value_is_named(folder: Path) -> None:
    with pytest.raises(ConfigurationError, match="OA_SYNC_RPD: 'x'"):
        resolve({}, environ={"OA_SYNC_RPD": "x"}, cwd=folder)
    with pytest.raises(ConfigurationError, match="--rpd: 'x'"):
        resolve({"rpd": "x"}, environ={}, cwd=folder)
    (folder / ".dlt" / "config.toml").write_text("[sources.openanalyst]\nrpd = 'x'\n")
    with pytest.raises(ConfigurationError, match=r"\[sources.openanalyst\] rpd: 'x'"):
        resolve({}, environ={}, cwd=folder)
    (folder / ".dlt" / "config.toml").write_text("[sources.openanalyst\n")
    with pytest.raises(ConfigurationError, match=r"config\.toml: not valid TOML"):
        resolve({}, environ={}, cwd=folder)


def test_the_key_is_in_no_text_of_the_settings(folder: Path) -> None:
    settings = resolve({}, environ={"OPENANALYST_API_KEY": KEY}, cwd=folder)
    assert settings.require_api_key() == KEY
    assert KEY not in repr(settings)
    with pytest.raises(ConfigurationError, match="OPENANALYST_API_KEY"):
        resolve({}, environ={}, cwd=folder).require_api_key()
