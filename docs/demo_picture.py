"""Paint the screen of `oa-sync demo` as SVG: `python docs/demo_picture.py docs/demo.svg`."""

from __future__ import annotations

import sys
from pathlib import Path

from rich.console import Console

from oa_sync.cli.demo import tell

WIDTH = 88


def main(target: Path) -> int:
    """Run the demo in the current folder and write its screen to `target`; the exit code."""
    console = Console(
        record=True, file=sys.stdout, width=WIDTH, highlight=False, force_terminal=True
    )
    console.print("[green]$[/green] make demo")
    exit_code = tell(console, Path("oa-sync-demo"))
    console.save_svg(str(target), title="oa-sync demo")
    return exit_code


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
