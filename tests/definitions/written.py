"""Writing a definition file and reading it back, or reading what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import pytest

from oa_sync.definitions.loader import load_definition
from oa_sync.definitions.model import Definition
from oa_sync.errors import DefinitionError

ENVIRON: Mapping[str, str] = {"GH": "ghs_secret-value", "HOST": "https://api.example.org"}


def load(
    folder: Path,
    text: str,
    *,
    dialect: Literal["page", "cursor"] = "page",
    environ: Mapping[str, str] = ENVIRON,
) -> Definition:
    """The definition that `text` is."""
    path = folder / "x.yaml"
    path.write_text(text, encoding="utf-8")
    return load_definition(str(path), dialect=dialect, environ=environ)


def faults(folder: Path, text: str, *, environ: Mapping[str, str] = ENVIRON) -> list[str]:
    """What is wrong with `text`, each fault as `line: path: ...`."""
    with pytest.raises(DefinitionError) as raised:
        load(folder, text, environ=environ)
    start = f"{folder / 'x.yaml'}:"
    assert all(problem.startswith(start) for problem in raised.value.problems)
    return [problem.removeprefix(start) for problem in raised.value.problems]
