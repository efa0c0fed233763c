"""What the user granted and this machine remembers: which variable goes to which host, which files may name one.

As ssh remembers hosts and direnv files: the first time is granted aloud, and what is other than it was is asked for
again. Nothing in it is a secret; keys are salted hashes.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import orjson
from filelock import FileLock, Timeout

from oa_sync.errors import ConfigurationError
from oa_sync.journal.disk import Disk
from oa_sync.private import check_trusted, home_folder

FILE_NAME = "grants.json"
_PATIENCE = 10.0
"""Seconds to wait for another process that writes the file; it takes milliseconds."""


class Grants:
    """The grants in `home`, read when they are asked for.

    Raises ConfigurationError, from every method, where the file is damaged: what it pinned must not be lost without
    a word.
    """

    def __init__(self, home: Path) -> None:
        self._path = home / FILE_NAME

    def first_host(self, name: str) -> str | None:
        """The host that the variable `name` was first sent to, None before that."""
        found = self._table("variables").get(name)
        return found if isinstance(found, str) else None

    def trusts(self, file: Path | None, name: str, host: str) -> bool:
        """Whether the user was shown that `file` sends `name` to `host`, and allowed it."""
        return name in self._file(file).get(host, ())

    def knows_file(self, file: Path | None, host: str) -> bool:
        """Whether the user named or allowed the definition `file` when it asked `host`."""
        return host in self._file(file)

    def knows_host(self, key: str | None, host: str) -> bool:
        """Whether the user named `host` for `key` before."""
        return key is not None and host in self._table("keys").get(self._hash(key), ())

    def trusts_folder(self, folder: Path | None, host: str) -> bool:
        """Whether the user allowed that the `.dlt` in `folder` names `host`."""
        return host in self._table("folders").get(str(folder), ())

    def pin(self, names: Iterable[str], host: str) -> None:
        """Remember that the variables `names` are sent to `host`, those that were sent nowhere before.

        Raises:
            ConfigurationError: it cannot be remembered, or another process was first, with another host.
        """
        new = [name for name in names if self.first_host(name) is None]
        if not new:
            return

        def change(facts: dict[str, Any]) -> None:
            for name in new:
                _inside(facts, "variables").setdefault(name, host)

        self._change(change)
        if late := [name for name in new if self.first_host(name) != host]:
            raise ConfigurationError(
                f"{', '.join(late)}: just now sent to another host by another process"
            )

    def trust_file(self, file: Path, names: Iterable[str], host: str) -> None:
        """Remember that `file` may send the variables `names` to `host`."""
        known = {host: sorted(names)}
        self._change(lambda facts: _inside(facts, "files", str(file)).update(known))

    def note_file(self, file: Path, host: str) -> None:
        """Remember that the user named `file` when it asked `host`. That grants it no variable."""
        if not self.knows_file(file, host):
            self.trust_file(file, (), host)

    def trust_folder(self, folder: Path, hosts: Iterable[str]) -> None:
        """Remember that the `.dlt` in `folder` may name `hosts`, and no others."""
        named = sorted(set(hosts))
        self._change(lambda facts: _inside(facts, "folders").update({str(folder): named}))

    def note_host(self, key: str, host: str) -> None:
        """Remember that the user named `host` for `key`."""
        if self.knows_host(key, host):
            return

        def change(facts: dict[str, Any]) -> None:
            _inside(facts, "keys").setdefault(self._hash(key, facts), []).append(host)

        self._change(change)

    def _hash(self, key: str, facts: dict[str, Any] | None = None) -> str:
        facts = self._read() if facts is None else facts
        salt = str(facts.setdefault("salt", secrets.token_hex(16)))
        return hashlib.blake2b(key.encode(), key=salt.encode(), digest_size=16).hexdigest()

    def _file(self, file: Path | None) -> Mapping[str, Any]:
        found = self._table("files").get(str(file))
        return found if isinstance(found, dict) else {}

    def _table(self, name: str) -> Mapping[str, Any]:
        found = self._read().get(name, {})
        return found if isinstance(found, dict) else {}

    def _read(self) -> dict[str, Any]:
        check_trusted(self._path)
        try:
            facts = orjson.loads(self._path.read_bytes())
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise ConfigurationError(f"{self._path}: cannot be read: {error.strerror}") from None
        except ValueError:
            facts = None
        if not isinstance(facts, dict):
            raise ConfigurationError(
                f"{self._path} is damaged: what may be sent where is not known; remove it, and grant"
                " again (--env NAME@HOST, or oa-sync trust FILE)"
            )
        return facts

    def _change(self, change: Callable[[dict[str, Any]], object]) -> None:
        """Read, change and write the file while no other process does."""
        lock = FileLock(self._path.with_suffix(".lock"), timeout=_PATIENCE, mode=0o600)
        try:
            home_folder(self._path.parent)
            with lock:
                facts = self._read()
                change(facts)
                self._write(orjson.dumps(facts, option=orjson.OPT_INDENT_2))
        except (OSError, Timeout) as error:
            reason = "another process holds it" if isinstance(error, Timeout) else error.strerror
            raise ConfigurationError(
                f"{self._path} cannot be written: {reason}; choose another --home"
            ) from None

    def _write(self, content: bytes) -> None:
        """Write the file whole and for good: a pin that a power cut takes away would let a variable go anywhere."""
        disk, new = Disk(), self._path.with_suffix(".new")
        disk.remove(new)
        handle = disk.create(new)
        try:
            disk.write(handle, content)
            disk.sync(handle)
        finally:
            disk.close(handle)
        new.replace(self._path)
        disk.sync_folder(self._path.parent)


def _inside(facts: dict[str, Any], *names: str) -> dict[str, Any]:
    """The mapping at `names` in `facts`, made where there is none."""
    for name in names:
        facts = facts.setdefault(name, {})
    return facts
