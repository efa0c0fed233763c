"""Ask pip-audit whether a known fault is in anything that the locks name, and say aloud what it could not look up.

    python .ci/audit.py requirements.lock requirements-dev.lock

Exit code 1: a fault is known. Where the service cannot be reached nothing is known, which is said and is no failure:
a machine without it must not stop all work. CI has to run where it can be reached.
"""

from __future__ import annotations

import json
import subprocess
import sys


def main(locks: list[str]) -> int:
    """Audit each of `locks`; the exit code."""
    faulty = 0
    for lock in locks:
        command = [sys.executable, "-m", "pip_audit", "-r", lock, "--disable-pip", "-f", "json"]
        # S603: our own words and the names of our own files.
        done = subprocess.run(  # noqa: S603
            [*command, "--progress-spinner", "off"], capture_output=True, text=True, check=False
        )
        try:
            found = json.loads(done.stdout)["dependencies"]
        except (ValueError, KeyError):
            sys.stdout.write(
                f"{lock}: NOT AUDITED, pip-audit failed: {done.stderr.strip()[-500:]}\n"
            )
            continue
        skipped = [each["name"] for each in found if "skip_reason" in each]
        if skipped:
            sys.stdout.write(
                f"{lock}: NOT AUDITED, of {len(found)} packages {len(skipped)} could not be looked up"
                f" ({', '.join(skipped[:3])}…): can this machine reach the service?\n"
            )
        for each in found:
            for fault in each.get("vulns", ()):
                faulty += 1
                mended = ", ".join(fault["fix_versions"]) or "no release"
                sys.stdout.write(
                    f"{lock}: {each['name']} {each['version']}: {fault['id']}; mended in {mended}\n"
                )
        sys.stdout.write(f"{lock}: {len(found) - len(skipped)} of {len(found)} packages audited\n")
    return 1 if faulty else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
