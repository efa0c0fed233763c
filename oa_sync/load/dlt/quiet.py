"""How dlt behaves while a pipeline of ours is open."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from oa_sync.process_wide import held_at, log_levels

_CONFIG: dict[str, Any] = {
    "restore_from_destination": False,
    "enable_runtime_trace": False,
    "runtime.dlthub_telemetry": False,
    "runtime.intercept_signals": False,
    "runtime.log_level": "CRITICAL",
    "load.truncate_staging_dataset": True,
    "load.raise_on_failed_jobs": True,
    "normalize.workers": 1,
    "extract.workers": 1,
}


@contextmanager
def quiet_dlt() -> Iterator[None]:
    """Settings of dlt that hold for a pipeline of ours, for the `with` block.

    No state in the destination (ids are in the tables), no trace files (they keep exception messages), no
    telemetry, no signal handlers (ours load what was fetched first), staging emptied after use, and only
    critical errors in its log. On this thread, also no record of the settings that dlt looked up: dlt
    empties it only together with a trace, and the errors in it keep the last batch of every load in memory.

    dlt has one configuration for all pipelines of a process. What the host program had set is put back.
    """
    from dlt.common.configuration.utils import get_resolved_traces

    traces = get_resolved_traces()
    was_recording, traces.logging_enabled = traces.logging_enabled, False
    with ExitStack() as stack:
        for key, value in _CONFIG.items():
            stack.enter_context(held_at(("dlt", key), value, _reader(key), _writer(key)))
        # Only now: dlt sets up its log, with a level of its own, when its configuration is first used.
        stack.enter_context(log_levels(logging.CRITICAL, "dlt"))
        try:
            yield
        finally:
            traces.logging_enabled = was_recording


def _reader(key: str) -> Callable[[], Any]:
    import dlt

    *sections, name = key.split(".")
    provider = dlt.config.writable_provider
    return lambda: provider.get_value(name, Any, "", *sections)[0]


def _writer(key: str) -> Callable[[Any], None]:
    """Writes `key` of dlt's configuration. dlt takes None for a value that is not set."""
    import dlt

    def write(value: Any) -> None:
        dlt.config[key] = value

    return write
