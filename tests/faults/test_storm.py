"""A short storm. `OA_SYNC_STORM_SECONDS` and `OA_SYNC_STORM_SEED` change it; see `tests/faults/storm.py`."""

from __future__ import annotations

import os
from pathlib import Path
from random import Random

import pytest

from tests.faults.storm import storm

SECONDS = float(os.environ.get("OA_SYNC_STORM_SECONDS", "25"))
SEED = int(os.environ.get("OA_SYNC_STORM_SEED", Random().randrange(10**6)))


@pytest.mark.timeout(SECONDS + 900)
def test_a_storm_of_kills_faults_and_changes_leaves_tables_that_equal_the_source(
    tmp_path: Path,
) -> None:
    print(f"seed {SEED}: python -m tests.faults.storm --seconds {SECONDS:g} --seed {SEED}")
    happened = storm(SECONDS, SEED, tmp_path)
    assert happened["calm"] > 0
