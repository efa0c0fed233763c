"""What a user installs: everything the package needs at run time, and nothing else."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import oa_sync

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (file,) = folder.glob("*.whl")
    return zipfile.ZipFile(file)


def test_wheel_has_every_file_of_the_package(wheel: zipfile.ZipFile) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "oa_sync"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    tracked = {name for name in listed.stdout.splitlines() if (ROOT / name).is_file()}
    assert tracked - set(wheel.namelist()) == set()
    for name in ("definitions/page.yaml", "emulator/sample/reports.ndjson", "py.typed"):
        assert f"oa_sync/{name}" in wheel.namelist()


def test_wheel_has_nothing_else(wheel: zipfile.ZipFile) -> None:
    folders = {name.split("/")[0] for name in wheel.namelist()}
    assert folders == {"oa_sync", f"oa_sync-{oa_sync.__version__}.dist-info"}
    assert not [name for name in wheel.namelist() if name.endswith((".pyc", ".duckdb"))]


def test_wheel_carries_licence_command_and_readme(wheel: zipfile.ZipFile) -> None:
    info = f"oa_sync-{oa_sync.__version__}.dist-info"
    assert f"{info}/licenses/LICENSE" in wheel.namelist()
    assert "oa-sync = oa_sync.cli:main" in wheel.read(f"{info}/entry_points.txt").decode()
    metadata = Parser().parsestr(wheel.read(f"{info}/METADATA").decode())
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["Name"] == "oa-sync"


def test_versions_are_bounded_where_a_release_is_known_to_break() -> None:
    bounds = {r.name: r.specifier for r in map(Requirement, PROJECT["dependencies"])}
    for name, broken in {
        "dlt": "1.32",
        "sqlglot": "30.20",
        "duckdb": "3.0",
        "httpx": "0.29",
    }.items():
        assert not bounds[name].contains(broken), name


def test_every_module_can_be_imported_without_the_extras() -> None:
    program = (
        "import sys, importlib, pkgutil, oa_sync\n"
        "for name in ('psycopg', 'psycopg2', 's3fs', 'pytest', 'hypothesis'):\n"
        "    sys.modules[name] = None\n"
        "for found in pkgutil.walk_packages(oa_sync.__path__, 'oa_sync.'):\n"
        "    if 'postgres' not in found.name: importlib.import_module(found.name)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
