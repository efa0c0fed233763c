"""The locks name everything that the project asks for, each file by its hash, and no place to get it from."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
RUN, DEV = "requirements.lock", "requirements-dev.lock"
_PINNED = re.compile(r"^(?P<name>[\w.-]+)==(?P<version>\S+)(?: ; [^\\]+)? \\$")


def locked(name: str) -> dict[str, list[str]]:
    """The versions that a lock allows of each package: several where Pythons differ."""
    found: dict[str, list[str]] = {}
    for line in text_of(name).splitlines():
        if match := _PINNED.match(line):
            found.setdefault(canonicalize_name(match["name"]), []).append(match["version"])
    return found


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def asked_for(texts: list[str]) -> list[Requirement]:
    """The requirements of `texts`, with those of our own extras that they name."""
    found = []
    for requirement in map(Requirement, texts):
        if requirement.name == "oa-sync":
            found += asked_for([each for extra in requirement.extras for each in EXTRAS[extra]])
        else:
            found.append(requirement)
    return found


@pytest.mark.parametrize("name", [RUN, DEV])
def test_a_lock_holds_all_that_is_asked_for(name: str) -> None:
    """`make lock` writes them anew."""
    asked = list(PROJECT["dependencies"])
    if name == DEV:
        asked += EXTRAS["dev"] + EXTRAS["security"]
    versions = locked(name)
    for requirement in asked_for(asked):
        found = versions.get(canonicalize_name(requirement.name))
        assert found, requirement
        assert all(requirement.specifier.contains(each) for each in found), requirement


@pytest.mark.parametrize("name", [RUN, DEV])
def test_every_package_of_a_lock_has_hashes_and_no_address(name: str) -> None:
    lines = [line for line in text_of(name).splitlines() if not line.startswith("#")]
    for number, line in enumerate(lines):
        if line.startswith(" "):
            assert re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}(?: \\)?", line), line
        else:
            assert _PINNED.match(line), line
            assert lines[number + 1].startswith("    --hash=sha256:"), line
    assert "://" not in text_of(name)


def test_what_is_run_is_what_was_developed_with() -> None:
    developed = locked(DEV)
    assert {name: developed.get(name) for name in locked(RUN)} == locked(RUN)
