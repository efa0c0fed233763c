"""`oa-sync webhook`: signed callbacks of the API."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import click

from oa_sync.cli.options import log_options

_file = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
def webhook() -> None:
    """Receive the signed callbacks that the API sends when an agent run ends."""


@webhook.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8766,
    show_default=True,
    help="0: any free one.",
)
@click.option("--tls-cert", type=_file, metavar="FILE", help="PEM certificate with its chain.")
@click.option("--tls-key", type=_file, metavar="FILE", help="Its PEM key, without a password.")
@click.option(
    "--max-body",
    type=click.IntRange(1),
    default=1024 * 1024,
    show_default=True,
    metavar="BYTES",
    help="Larger callbacks are refused.",
)
@click.option("--home", type=click.Path(), metavar="DIR", help="Where the inbox is; as for sync.")
@click.option("--workspace", metavar="NAME", help="Whose callbacks; as for sync. Default: default.")
@log_options
def serve(
    host: str,
    port: int,
    tls_cert: Path | None,
    tls_key: Path | None,
    max_body: int,
    home: str | None,
    workspace: str | None,
    log_format: str,
    verbose: bool,
) -> None:
    """Take callbacks at POST /webhooks/openanalyst into the inbox, until SIGTERM or Ctrl-C.

    The secret comes from OPENANALYST_WEBHOOK_SECRET; while it is being rotated that may hold two,
    separated by a comma. The next sync of the workspace drains the inbox. GET /healthz tells how
    many deliveries wait.
    """
    from contextlib import closing

    from oa_sync.clock import Clock
    from oa_sync.errors import ConfigurationError
    from oa_sync.ops.logs import configure
    from oa_sync.settings import resolve
    from oa_sync.webhooks.inbox import Inbox, inbox_folder
    from oa_sync.webhooks.receiver import ReceiverLimits
    from oa_sync.webhooks.server import WebhookServer, listen
    from oa_sync.webhooks.signature import SECRET_VARIABLE, parse_secrets

    secrets = parse_secrets(os.environ.get(SECRET_VARIABLE))
    if (tls_cert is None) != (tls_key is None):
        raise ConfigurationError("--tls-cert and --tls-key belong together; give both or neither")
    settings = resolve({"home": home, "workspace": workspace})
    configure(log_format, verbose, secrets)
    # What the server itself warns of, such as requests that are not HTTP, belongs into the same log.
    logging.getLogger("uvicorn").handlers[:] = logging.getLogger("oa_sync").handlers
    clock = Clock()
    with closing(Inbox(inbox_folder(settings.home, settings.workspace), clock)) as inbox:
        server = WebhookServer(
            inbox,
            secrets,
            ReceiverLimits(body_bytes=max_body),
            clock,
            tls=(tls_cert, tls_key) if tls_cert and tls_key else None,
        )
        with closing(listen(host, port)) as listener:
            server.serve(listener)
