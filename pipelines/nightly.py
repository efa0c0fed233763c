"""One sync with a log file, for cron or a systemd timer; the exit code is that of `oa-sync sync`.

    17 3 * * *  cd "/srv/analytics" && .venv/bin/python nightly.py

Settings come from the environment and `.dlt/*.toml` in the current folder, as for the command line. cron has no
exported key: put it into `.dlt/secrets.toml`, which only you can read.
0: complete. 3: the day's requests are spent and the next night goes on, so nobody needs a mail. Anything
else: the last line of the log says what to do.
"""

from __future__ import annotations

import json
import logging
import sys
from logging.handlers import RotatingFileHandler
from pathlib import Path

from oa_sync import OaSyncError, resolve_settings, sync

LOG = Path("oa_sync.log")


def main() -> int:
    """Sync once; the exit code."""
    log = open_log(LOG)
    try:
        report = sync(resolve_settings({}))
    except OaSyncError as error:
        log.error("%s: %s", error.code, error)
        return error.exit_code
    log.info("report %s", json.dumps(report.as_json()))
    if report.error is not None:
        log.error("%s: %s", report.status, report.error)
    return report.exit_code


def open_log(path: Path) -> logging.Logger:
    """The log of oa-sync, kept in `path` and nine older files of 10 MB."""
    handler = RotatingFileHandler(path, maxBytes=10_000_000, backupCount=9, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log = logging.getLogger("oa_sync")
    log.setLevel(logging.INFO)
    log.addHandler(handler)
    return log


if __name__ == "__main__":
    sys.exit(main())
