"""Paint the screen of `oa-sync demo` anew: `docs/demo.svg`, and its second half in `README.md`.

`make picture` runs it in the project's folder.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from rich.console import Console

from oa_sync.cli.demo import tell

WIDTH = 90
PICTURE = Path("docs/demo.svg")
README = Path("README.md")
BLOCK = re.compile(r"(<!-- demo -->\n```text\n).*?(```\n<!-- /demo -->)", re.DOTALL)


def main() -> int:
    """Run the demo in the current folder and write its screen; the exit code."""
    console = Console(
        record=True, file=sys.stdout, width=WIDTH, highlight=False, force_terminal=True
    )
    console.print("[green]$[/green] make demo")
    exit_code = tell(console, Path("oa-sync-demo"))
    if exit_code == 0:
        text = second_half(console.export_text(clear=False))
        README.write_text(
            BLOCK.sub(lambda m: m[1] + text + m[2], README.read_text("utf-8")), "utf-8"
        )
        console.save_svg(str(PICTURE), title="oa-sync demo")
    return exit_code


def second_half(screen: str) -> str:
    """What `screen` says from the changes on, up to the files; lines without blanks at their end."""
    part = screen[screen.index("Now things change") : screen.index("\nFiles")]
    return "".join(f"{line.rstrip()}\n" for line in part.rstrip().splitlines())


if __name__ == "__main__":
    sys.exit(main())
