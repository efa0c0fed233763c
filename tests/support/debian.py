"""Programs that some tests need and that no Python package brings."""

from __future__ import annotations

import os
import shutil

import pytest

REQUIRED = "REQUIRE_DEBIAN_PACKAGES"
"""Set it where no test may be left out for want of one."""


def need(program: str) -> None:
    """Skip the test where `program`, which is in the Debian package of its name, is not installed."""
    if shutil.which(program) is None:
        assert not os.environ.get(REQUIRED), f"{REQUIRED} is set: apt-get install {program}"
        pytest.skip(f"{program} is not installed (apt-get install {program})")
