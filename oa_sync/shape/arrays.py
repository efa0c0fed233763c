"""Steps over whole Arrow columns: checks of numbers, and values put in their rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from oa_sync.shape.lattice import EXACT_DOUBLE


def are_exact(doubles: Any) -> bool:
    """Whether all doubles are finite, and small enough to be exact if they came from integers."""
    return bool(pc.all(pc.less(pc.abs(doubles), float(EXACT_DOUBLE))).as_py())


def exact_doubles(texts: Any) -> Any | None:
    """Doubles from their JSON texts; None if one is no number, infinite, or a large integer."""
    try:
        values = texts.cast(pa.float64())
    except pa.ArrowInvalid:
        return None
    large = pc.greater_equal(pc.abs(values), float(EXACT_DOUBLE))
    integers = pc.match_substring_regex(texts, r"^-?\d+$")
    inexact = pc.or_(pc.and_(large, integers), pc.invert(pc.is_finite(values)))
    return None if pc.any(inexact).as_py() else values


def has_large(integers: Any) -> bool:
    """Whether an integer is beyond what a double holds exactly."""
    span = pc.min_max(integers)
    return bool(span["min"].as_py() < -EXACT_DOUBLE or span["max"].as_py() > EXACT_DOUBLE)


def expanded(values: Any, places: Any) -> Any:
    """`values`, put where `places` is true, with nulls everywhere else."""
    if len(values) == len(places):
        return values
    wanted = places.to_numpy(zero_copy_only=False)
    count = np.cumsum(wanted, dtype=np.int64)
    if not pa.types.is_string(values.type) or values.null_count:
        return values.take(pa.array(count - 1, mask=~wanted))
    # Strings keep their bytes where they are: only the offsets are new.
    validity, offsets, data = (
        pa.array(wanted).buffers()[1],
        values.buffers()[1],
        values.buffers()[2],
    )
    ends = np.frombuffer(offsets, np.int32)[values.offset :]
    spread = ends[np.concatenate(([0], count))]
    return pa.StringArray.from_buffers(
        len(places), pa.py_buffer(spread), data, validity, int(len(places) - count[-1])
    )
