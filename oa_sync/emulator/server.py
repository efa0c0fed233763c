"""Serving the emulator on loopback: from a thread of this process, or as the command's main job."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from oa_sync.clock import Clock
from oa_sync.emulator.app import Emulator
from oa_sync.emulator.data import SAMPLE, Workspace, load_workspace
from oa_sync.emulator.options import EmulatorOptions
from oa_sync.emulator.routes import BASE
from oa_sync.emulator.state import EmulatorState

HOST = "127.0.0.1"
# Longer than any client keeps an idle connection, so that the server never closes one while a request
# is on its way.
KEEP_ALIVE_SECONDS = 600


@dataclass(frozen=True, slots=True)
class RunningEmulator:
    """An emulator that answers at `base_url` (`http://127.0.0.1:<port>/v1`)."""

    base_url: str
    emulator: Emulator

    @property
    def state(self) -> EmulatorState:
        """Contents, changes and counters."""
        return self.emulator.state


@contextmanager
def running(
    workspace: Workspace | None = None,
    options: EmulatorOptions | None = None,
    clock: Clock | None = None,
) -> Iterator[RunningEmulator]:
    """Run an emulator in a background thread on a free port; the bundled sample by default.

    It answers when the block begins, and its port is closed when the block ends.
    """
    emulator = Emulator(workspace or load_workspace(SAMPLE), options, clock)
    listener = listen(0)
    url = url_of(listener)
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()
    ready = threading.Event()

    def work() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(_serve(emulator, listener, stop, ready.set))

    thread = threading.Thread(target=work, name="emulator", daemon=True)
    thread.start()
    ready.wait(10)
    try:
        yield RunningEmulator(url, emulator)
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)


def serve(emulator: Emulator, listener: socket.socket) -> None:
    """Serve on `listener` until SIGTERM or SIGINT, then return at once."""

    async def until_signal() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await _serve(emulator, listener, stop, lambda: None)

    asyncio.run(until_signal())


def listen(port: int) -> socket.socket:
    """A socket that listens on loopback; port 0 is any free one. OSError if the port is taken."""
    # asyncio turns Nagle's delay off (40 ms an answer) only where the protocol is named.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen(1024)
    except OSError:
        listener.close()
        raise
    return listener


def url_of(listener: socket.socket) -> str:
    """The API's base URL behind `listener`."""
    return f"http://{HOST}:{listener.getsockname()[1]}{BASE}"


async def _serve(
    emulator: Emulator,
    listener: socket.socket,
    stop: asyncio.Event,
    started: Callable[[], None],
) -> None:
    import uvicorn

    config = uvicorn.Config(
        emulator,
        access_log=False,
        date_header=False,
        server_header=False,
        lifespan="off",
        log_config=None,
        # uvicorn would log a connection that is reset on purpose as an error.
        log_level=logging.CRITICAL + 1,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        ws="none",
    )
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup(sockets=[listener])
    emulator.background.attach()
    started()
    await stop.wait()
    # uvicorn's own shutdown waits at least 0.1 s, and a test suite starts hundreds of emulators.
    for listening in server.servers:
        listening.close()
    for connection in list(server.server_state.connections):
        connection.shutdown()
    await asyncio.sleep(0)
