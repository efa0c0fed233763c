"""Faults that are known and not mended yet. A reason is as narrow as can be, and goes with its fault."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tests.foreign.plan import Api


def _next_left_out(api: Api, night: str, what: str) -> bool:
    """The first page is the last one, and says so by leaving out the field of the next one."""
    is_so = any(
        plan.paging.end == "absent" and plan.paging.way in ("cursor", "json_link")
        for plan in api.lists
    )
    return is_so and "none of the fields that tell how the list goes on" in what


KNOWN: Mapping[str, Callable[[Api, str, str], bool]] = {
    "next is left out at the end of a list of one page": _next_left_out
}
"""From the name of a fault to whether it explains `what` was seen in the sync `night` of an API."""


def known(api: Api, night: str, what: str) -> str | None:
    """The known fault that explains what was seen; None: there is none."""
    return next((name for name, explains in KNOWN.items() if explains(api, night, what)), None)
