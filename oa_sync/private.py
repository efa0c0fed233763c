"""Folders and files for one user alone, as ssh treats its own: nobody else's, nothing that others may write, and
nothing written through a symbolic link.

Root is trusted as an owner, since it can do all of it anyway; a root-owned volume is fine for another user. What
only a group may write is told and used: Kubernetes mounts volumes like that (`fsGroup`).

Database, lake and exports are not private: they are for whoever reads them, and the umask rules.
"""

from __future__ import annotations

import errno
import logging
import os
import shutil
import stat
from pathlib import Path

from oa_sync.errors import ConfigurationError

logger = logging.getLogger(__name__)

FILE_MODE, FOLDER_MODE = 0o600, 0o700
_TOLD: set[tuple[Path, str]] = set()


def home_folder(home: Path) -> None:
    """Make `home` for this user alone, if it is missing, and check it. It may be a link, because its user named it.

    Raises:
        ConfigurationError: it is another user's, or may be written by everybody.
        OSError: it cannot be made.
    """
    _make(home)
    _check(home, "folder")
    for each in home.absolute().parents:
        mode = each.stat().st_mode
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            _tell(each, f"everybody may put another folder in the place of {home}: chmod +t {each}")


def private_folder(folder: Path, *, above: int = 0) -> None:
    """The same for a folder inside home. Neither it nor the `above` folders over it may be a link.

    Raises:
        ConfigurationError: one of them is a link, or it is another user's, or may be written by everybody.
        OSError: one of them cannot be made.
    """
    for each in reversed([folder, *folder.parents][: above + 1]):
        refuse_link(each)
        _make(each)
    _check(folder, "folder")


def fresh_folder(folder: Path) -> None:
    """`private_folder`, empty. A link in its place is removed, and what it points to is left alone."""
    private_folder(folder.parent)
    if folder.is_symlink():
        folder.unlink()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=FOLDER_MODE)


def open_private(path: Path, flags: int) -> int:
    """Open the file `path` for this user alone, never through a link; its handle.

    Raises:
        ConfigurationError: a link is in its place.
        OSError: it cannot be opened.
    """
    try:
        return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise _link(path) from None
        raise


def refuse_link(*paths: Path) -> None:
    """For what a library opens: raise ConfigurationError if one of `paths` is a link."""
    for path in paths:
        if path.is_symlink():
            raise _link(path)


def replace_file(path: Path, content: bytes) -> None:
    """Write the file `path` whole: a reader sees the old content or the new. What was in its place is replaced,
    a link too. Not made durable."""
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    temporary.unlink(missing_ok=True)  # of a killed process that had this number
    handle = open_private(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
    temporary.replace(path)


def check_trusted(path: Path, *, is_secret: bool) -> None:
    """Check a file that is read: it holds a secret, or says where one is sent. One that is not there is fine.

    Raises:
        ConfigurationError: it is another user's, or may be written by everybody.
    """
    try:
        found = _check(path, "file")
    except (FileNotFoundError, NotADirectoryError):
        return
    if is_secret and found.st_mode & stat.S_IROTH and found.st_uid == os.geteuid():
        _tell(path, f"everybody on this machine may read {path}: chmod 600 {path}")


def _make(folder: Path) -> None:
    missing = []
    while not folder.exists() and not folder.is_symlink():
        missing.append(folder)
        folder = folder.parent
    for each in reversed(missing):
        each.mkdir(mode=FOLDER_MODE, exist_ok=True)


def _check(path: Path, what: str) -> os.stat_result:
    found, me = path.stat(), os.geteuid()
    if what == "folder" and not stat.S_ISDIR(found.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
    if found.st_uid not in (me, 0):
        raise ConfigurationError(
            f"{path}: this {what} belongs to {_user(found.st_uid)}, who may change what this process trusts"
            f" ({_user(me)}): run as that user, or take it over with chown -R {me} {path}"
        )
    if found.st_mode & stat.S_IWOTH:
        raise ConfigurationError(
            f"{path}: everybody on this machine may write this {what}: chmod o-w {path}"
        )
    if found.st_mode & stat.S_IWGRP:
        _tell(
            path,
            f"the group {found.st_gid} may write {path}: unless it is a mounted volume, chmod g-w {path}",
        )
    return found


def _tell(path: Path, message: str) -> None:
    """Log a warning once in this process."""
    if (path, message) not in _TOLD:
        _TOLD.add((path, message))
        logger.warning("%s", message)


def _user(number: int) -> str:
    import pwd

    try:
        return f"user {pwd.getpwuid(number).pw_name}"
    except KeyError:
        return f"user {number}"


def _link(path: Path) -> ConfigurationError:
    return ConfigurationError(
        f"{path}: a symbolic link is in its place, and nothing is written through one: rm {path}"
    )
