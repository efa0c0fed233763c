"""An event loop whose time passes only where the test says so."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable


class StillLoop(asyncio.SelectorEventLoop):
    """Its `sockets` are closed at the end of the test, before the loop."""

    def __init__(self) -> None:
        super().__init__()
        self.passed = 0.0
        self.sockets: list[socket.socket] = []

    def time(self) -> float:
        return self.passed


def still(test: Callable[[], Awaitable[None]]) -> Callable[[], None]:
    """A test for pytest that runs `test` on such a loop."""

    async def run() -> None:
        try:
            await test()
        finally:
            for each in still_loop().sockets:
                each.close()
            await turns()

    def on_a_still_loop() -> None:
        with asyncio.Runner(loop_factory=StillLoop) as runner:
            runner.run(run())

    return on_a_still_loop


def still_loop() -> StillLoop:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, StillLoop)
    return loop


async def turns(seconds: float = 0.0) -> None:
    """Let `seconds` pass, and let everybody do what they can do now."""
    still_loop().passed += seconds
    for _ in range(20):
        await asyncio.sleep(0)
