"""Running the `oa-sync` command as a person does: as a process, in a folder, with a plain environment."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

OA_SYNC = (sys.executable, "-c", "from oa_sync.cli import main; main()")
PATIENCE = 240.0
"""Seconds after which a command is taken for stuck: many times what it takes on a busy machine."""
_KEPT = ("PATH", "LANG", "TMPDIR")


def oa_sync(
    *arguments: str, cwd: Path, timeout: float = PATIENCE, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run `oa-sync` with `arguments` in `cwd`; home and HOME lie there too unless told otherwise.

    No setting of the machine comes through; `environment` is added.
    """
    return run(*OA_SYNC, *arguments, cwd=cwd, timeout=timeout, **environment)


def run(
    *command: Any, cwd: Path, timeout: float = PATIENCE, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run any command in the same way."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**kept, "HOME": str(cwd), "OA_SYNC_HOME": str(cwd / "home"), **environment},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
