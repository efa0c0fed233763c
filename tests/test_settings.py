"""Where settings come from, and what is told of one that is wrong."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from oa_sync.errors import ConfigurationError
from oa_sync.settings import Settings, resolve

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
        ("base_url", "https://[::1/v1", "https://"),
        ("base_url", "https://[::g]/v1", "https://"),
        ("base_url", "https://api.example.com:99999/v1", "https://"),
        ("base_url", "https://api.example.com:-1/v1", "https://"),
        ("base_url", "https://api.example.com:port/v1", "https://"),
        ("destination", "parquet", "--bucket-url"),
        ("bucket_url", "s3:/bucket/folder", "s3://bucket"),
        ("bucket_url", "gs:bucket", "gs://bucket"),
        ("bucket_url", "file:lake", "write the folder alone"),
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


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("rpm", "many", "rpm: 'many' is not a whole number"),
        ("rpd", True, "rpd: True is not a whole number"),
        ("reserve", 7, "reserve: 7 is not a share"),
        ("reserve", False, "reserve: False is not a share"),
        ("plan", ["free"], "is not one of free"),
        ("plan", None, "plan: None is not one of"),
        ("workspace", 2026, "workspace: 2026 is not a text"),
        ("database", ["a"], r"database: \['a'\] is not a path"),
        ("database", "", "the path is empty"),
        ("database", "a\0b", "control character"),
        ("home", "~no-such-user-here/x", "no such user"),
        ("home", None, "home: None is not a path"),
        ("base_url", "http://api.example.com", "plain http://"),
    ],
)
def test_settings_made_by_hand_are_checked_like_those_of_flags(
    name: str, value: Any, words: str, folder: Path
) -> None:
    with pytest.raises(ConfigurationError, match=words):
        Settings(**{name: value})
    with pytest.raises(ConfigurationError, match=words):
        dataclasses.replace(Settings(), **{name: value})


def test_settings_made_by_hand_have_the_same_home_and_paths_as_resolved_ones(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    by_hand, resolved = Settings(), resolve({}, environ={}, cwd=folder)
    assert by_hand == resolved
    assert by_hand.home.is_absolute()
    assert Settings(home="~/oa", database="x.duckdb") == resolve(  # type: ignore[arg-type]
        {"home": "~/oa", "database": "x.duckdb"}, environ={}, cwd=folder
    )
    assert not (folder / "~").exists()


def test_a_folder_of_files_is_absolute_so_that_two_projects_share_no_journal(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parquet = {"destination": "parquet", "bucket_url": "lake"}
    environ = {"OA_SYNC_BUCKET_URL": "lake/"}
    here, there = (resolve(parquet, environ={}, cwd=folder / name) for name in ("a", "b"))
    assert here.bucket_url == str(folder / "a" / "lake")
    assert here.fingerprint() != there.fingerprint()
    assert here == resolve({"destination": "parquet"}, environ=environ, cwd=folder / "a")
    monkeypatch.chdir(folder)
    assert Settings(**parquet).bucket_url == str(folder / "lake")
    for address in ("s3://bucket/lake", "file:///srv/lake"):
        assert dataclasses.replace(here, bucket_url=address).bucket_url == address


NO_TEXT = "caf\udce9"
"""What Python makes of bytes that are not UTF-8: in a variable, on a command line, in the name of a folder."""


@pytest.mark.parametrize("name", ["workspace", "database", "home", "source", "bucket_url"])
def test_what_is_no_text_in_utf_8_is_told_with_its_place(name: str, folder: Path) -> None:
    with pytest.raises(ConfigurationError, match=rf"--{name.replace('_', '-')}: .*not UTF-8"):
        resolve({name: NO_TEXT}, environ={}, cwd=folder)
    with pytest.raises(ConfigurationError, match=rf"{name}: .*not UTF-8"):
        Settings(**{name: NO_TEXT})  # type: ignore[arg-type]


def test_a_key_that_is_no_text_in_utf_8_is_not_repeated(folder: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"OPENANALYST_API_KEY: .*not UTF-8") as caught:
        resolve({}, environ={"OPENANALYST_API_KEY": f"{KEY}{NO_TEXT}"}, cwd=folder)
    assert KEY not in str(caught.value)


def test_a_current_folder_whose_name_is_not_utf_8_is_told(folder: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"database: .*not UTF-8"):
        resolve({}, environ={}, cwd=folder / NO_TEXT)
    there = {"database": "/srv/x.duckdb"}
    assert resolve(there, environ={}, cwd=folder / NO_TEXT).database == Path("/srv/x.duckdb")


def test_a_current_folder_that_was_deleted_is_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (gone := folder / "gone").mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    for make in (lambda: resolve({}, environ={}), Settings):
        with pytest.raises(ConfigurationError, match="the current folder was deleted; change"):
            make()


def test_a_secret_of_the_wrong_type_is_not_repeated(folder: Path) -> None:
    with pytest.raises(ConfigurationError, match="api_key: the value is not a text"):
        Settings(api_key=[KEY])  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["databse", "max_request", "apikey"])
def test_a_mistyped_name_is_told_wherever_it_stands(name: str, folder: Path) -> None:
    with pytest.raises(ConfigurationError, match=f"'{name}' is not a setting; did you mean"):
        resolve({name: "x"}, environ={}, cwd=folder)
    config = folder / ".dlt" / "config.toml"
    config.write_text(f"[sources.openanalyst]\n{name} = 'x'\n")
    with pytest.raises(
        ConfigurationError, match=rf"config\.toml: .*'{name}' is not a setting; did"
    ):
        resolve({}, environ={}, cwd=folder)
    config.write_text(f"[sources.openanalyst.{name}]\nx = 1\n[sources.other]\n{name} = 1\n")
    assert resolve({}, environ={}, cwd=folder).workspace == "default", "tables there are dlt's"


def test_a_mistyped_variable_is_told_and_one_of_another_program_goes_on(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ConfigurationError, match="did you mean OA_SYNC_DATABASE"):
        resolve({}, environ={"OA_SYNC_DATABSE": "x"}, cwd=folder)
    environ = {"OA_SYNC_IMAGE_TAG": "7", "OA_SYNC__DESTINATION__TYPE": "duckdb"}
    assert resolve({}, environ=environ, cwd=folder).workspace == "default"
    assert [one.args for one in caplog.records] == [("OA_SYNC_IMAGE_TAG",)]


def test_a_file_of_settings_that_cannot_be_read_is_named(folder: Path) -> None:
    (folder / ".dlt" / "config.toml").mkdir()
    with pytest.raises(ConfigurationError, match=r"config\.toml: cannot be read: Is a directory"):
        resolve({}, environ={}, cwd=folder)


# -- a key in a file of its own ---------------------------------------------------------------------------


def key_of(folder: Path, **environ: str) -> str | None:
    return resolve({}, environ=environ, cwd=folder).api_key


def test_the_key_may_stand_in_a_file_as_secrets_are_mounted(folder: Path) -> None:
    file = folder / "mounted"
    for content in (KEY, f"{KEY}\n", f"{KEY}\r\n"):
        file.write_text(content, newline="")
        file.chmod(0o600)
        assert key_of(folder, OPENANALYST_API_KEY_FILE=str(file)) == KEY
    assert key_of(folder, OPENANALYST_API_KEY_FILE="mounted") == KEY, "paths are the folder's"
    (folder / "link").symlink_to(file)
    assert key_of(folder, OPENANALYST_API_KEY_FILE="link") == KEY, "as Kubernetes mounts them"
    both = {"OPENANALYST_API_KEY": "oa_other", "OPENANALYST_API_KEY_FILE": "mounted"}
    assert key_of(folder, **both) == "oa_other"
    (folder / ".dlt" / "secrets.toml").write_text('[sources.openanalyst]\napi_key = "oa_toml"\n')
    assert key_of(folder, OPENANALYST_API_KEY_FILE="mounted") == KEY, "the environment wins"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"\xff\xfe" + KEY.encode("utf-16-le"), "no text in UTF-8"),
        (b"x" * 20_000, "larger than"),
    ],
)
def test_a_file_that_is_no_key_is_told_with_its_variable_and_path(
    content: bytes, words: str, folder: Path
) -> None:
    (folder / "mounted").write_bytes(content)
    with pytest.raises(ConfigurationError, match=words) as caught:
        key_of(folder, OPENANALYST_API_KEY_FILE="mounted")
    assert "OPENANALYST_API_KEY_FILE: " in str(caught.value)
    assert str(folder / "mounted") in str(caught.value)


def test_a_file_that_is_not_there_or_that_others_may_write_is_refused(folder: Path) -> None:
    for name, words in (("none", "No such file"), (".dlt", "Is a directory")):
        with pytest.raises(ConfigurationError, match=words):
            key_of(folder, OPENANALYST_API_KEY_FILE=name)
    file = folder / "mounted"
    file.write_text(KEY)
    file.chmod(0o646)
    with pytest.raises(ConfigurationError, match=r"may write .*chmod o-w") as caught:
        key_of(folder, OPENANALYST_API_KEY_FILE="mounted")
    assert KEY not in str(caught.value)
    file.chmod(0o660)
    assert key_of(folder, OPENANALYST_API_KEY_FILE="mounted") == KEY


# -- grants -----------------------------------------------------------------------------------------------


def test_grants_of_all_places_add_up_and_those_of_the_folder_do_not_count(folder: Path) -> None:
    (folder / "user" / ".dlt").mkdir(parents=True)
    for where, name in ((folder / "user", "USER"), (folder, "FOLDER")):
        file = where / ".dlt" / "config.toml"
        file.write_text(f'[sources.openanalyst]\nallow_env = "{name}"\n')
    environ = {"OA_SYNC_ALLOW_ENV": " A, B@h.example:8443 ,"}
    settings = resolve({"allow_env": ("C", "D@[::1]:80")}, environ=environ, cwd=folder)
    assert settings.allow_env == ("C", "D@[::1]:80", "A", "B@h.example:8443")
    (folder / ".dlt" / "config.toml").unlink()
    assert resolve({}, environ={}, cwd=folder).allow_env == ("USER",)


@pytest.mark.parametrize("grant", ["*", "A*", "a b", "A@", "A@https://h", "A@h/x", "@h", "1A"])
def test_a_grant_is_a_name_and_perhaps_a_host(grant: str, folder: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"--env: .* grants nothing"):
        resolve({"allow_env": (grant,)}, environ={}, cwd=folder)


@pytest.mark.parametrize(
    ("host", "is_ours"),
    [
        ("localhost", True),
        ("LOCALHOST", True),
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("[::1]", True),
        ("[::ffff:127.0.0.1]", True),
        ("x.localhost", False),
        ("localhost.evil.com", False),
        ("127.evil.com", False),
        ("127.0.0.1.evil.com", False),
        ("127.1", False),
        ("2130706433", False),
        ("0.0.0.0", False),
        ("[::ffff:10.0.0.1]", False),
        ("10.0.0.1", False),
    ],
)
def test_what_this_machine_is_is_decided_by_the_address_and_in_one_way(
    host: str, is_ours: bool, folder: Path
) -> None:
    from oa_sync.client.origin import base_url
    from oa_sync.commands.webhook import check_callback_url
    from oa_sync.definitions.scalars import BaseUrl

    url = f"http://{host}:8080/v1"
    places: list[Callable[[], object]] = [
        lambda: Settings(base_url=url),
        lambda: base_url(url),
        lambda: check_callback_url(url),
        lambda: TypeAdapter(BaseUrl).validate_python(url),
    ]
    for place in places:
        try:
            place()
        except (ConfigurationError, ValidationError):
            assert not is_ours
        else:
            assert is_ours
