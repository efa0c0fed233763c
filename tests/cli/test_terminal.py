"""What a terminal of 80 columns shows while a sync runs."""

from __future__ import annotations

import os
import pty
import re
import signal
import sys
from pathlib import Path

from oa_sync.emulator.synthetic import synthetic_workspace
from tests.support.command import OA_SYNC
from tests.support.emulator import KEY, emulator

SIZE = "reports=60,datasets=2,dashboards=2,runs=0,rows=2,columns=2,panels=2"


def test_ctrl_c_is_acknowledged_at_once_and_bars_do_not_double(tmp_path: Path) -> None:
    with emulator(synthetic_workspace(SIZE), latency_ms=200) as server:
        arguments = ("sync", "--base-url", server.base_url, "--rpm", "0", "--rpd", "0")
        process, terminal = pty.fork()
        if process == 0:
            os.chdir(tmp_path)
            os.environ |= {
                "TERM": "xterm",
                "COLUMNS": "80",
                "HOME": str(tmp_path),
                "OA_SYNC_HOME": str(tmp_path / "home"),
                "OPENANALYST_API_KEY": KEY,
            }
            os.execv(sys.executable, [*OA_SYNC, *arguments])
        shown, is_told = b"", False
        while True:
            try:
                shown += os.read(terminal, 65_536)
            except OSError:  # the other end is closed
                break
            if not is_told and b"details" in shown:
                is_told = True
                os.kill(process, signal.SIGINT)
        os.close(terminal)
        assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 3
    lines = screen(shown.decode())
    told = [n for n, line in enumerate(lines) if "SIGINT: stopping" in line]
    assert len(told) == 1, "\n".join(lines)
    assert not [line for line in lines if "━" in line], "a bar is left over"
    before_end = shown[: shown.index(b"rows written")]
    assert b"SIGINT: stopping" in before_end[: before_end.rindex(b"details  ")]


def screen(text: str) -> list[str]:
    """The lines that stand on a terminal after `text`: line feeds, returns, and rich's moves up and erasures."""
    lines, row, column = [""], 0, 0
    for part in re.findall(r"\x1b\[\??[0-9;]*[a-zA-Z]|\r|\n|[^\x1b\r\n]+", text):
        if part == "\r":
            column = 0
        elif part == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif part.startswith("\x1b["):
            number = int(part[2:-1] or 1) if part[2:-1].isdigit() or part[2:] == part[-1] else 0
            if part[-1] == "A":
                row = max(0, row - number)
            elif part[-1] == "K":
                lines[row] = ""
        else:
            line = lines[row].ljust(column)
            lines[row] = line[:column] + part + line[column + len(part) :]
            column += len(part)
    return lines
