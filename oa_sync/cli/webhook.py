"""`oa-sync webhook`: signed callbacks of the API."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import click

from oa_sync.cli.options import api_options, log_options
from oa_sync.cli.printing import say, say_cells, say_json

_file = click.Path(exists=True, dir_okay=False, path_type=Path)


_home = click.option("--home", type=click.Path(), metavar="DIR", help="Quota ledger; as for sync.")
_json = click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")


@click.group()
def webhook() -> None:
    """Receive the signed callbacks that the API sends when an agent run ends.

    register, list and delete are for the cursor dialect; in the page dialect each run names its own
    address (runs start --webhook-url).
    """


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
@click.option(
    "--max-inbox",
    type=click.IntRange(1),
    default=1024 * 1024 * 1024,
    show_default=True,
    metavar="BYTES",
    help="A larger inbox takes no more, until a sync drains it.",
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
    max_inbox: int,
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

    from oa_sync.cli.logs import configure
    from oa_sync.clock import Clock
    from oa_sync.errors import ConfigurationError
    from oa_sync.private import home_folder
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
    # Warnings of the server itself, such as of requests that are not HTTP, go to the same log.
    logging.getLogger("uvicorn").handlers[:] = logging.getLogger("oa_sync").handlers
    clock = Clock()
    home_folder(settings.home)
    folder = inbox_folder(settings.home, settings.workspace)
    with closing(Inbox(folder, clock, max_inbox)) as inbox:
        server = WebhookServer(
            inbox,
            secrets,
            ReceiverLimits(body_bytes=max_body),
            clock,
            tls=(tls_cert, tls_key) if tls_cert and tls_key else None,
        )
        with closing(listen(host, port)) as listener:
            server.serve(listener)


@webhook.command()
@click.argument("url", metavar="URL")
@click.option(
    "--event",
    "events",
    multiple=True,
    metavar="NAME",
    help="May be repeated. Default: agent.session.completed.",
)
@api_options
@_home
@_json
def register(url: str, events: tuple[str, ...], as_json: bool, **flags: Any) -> None:
    """Ask the API to deliver events to URL, and print the id of the webhook.

    They are signed with the first secret in OPENANALYST_WEBHOOK_SECRET, if it is set, else with the
    API's own.
    """
    from oa_sync.commands.webhook import RUN_ENDED, register_webhook
    from oa_sync.settings import resolve
    from oa_sync.webhooks.signature import SECRET_VARIABLE, parse_secrets

    text = os.environ.get(SECRET_VARIABLE)
    secret = parse_secrets(text)[0] if text else None
    hook = register_webhook(resolve(flags), url, events or (RUN_ENDED,), secret)
    if as_json:
        say_json(hook)
    else:
        say(hook.get("id", ""))


@webhook.command("list")
@api_options
@_home
@_json
def list_(as_json: bool, **flags: Any) -> None:
    """Show the webhooks that are registered at the API."""
    from oa_sync.commands.webhook import registered_webhooks
    from oa_sync.settings import resolve

    hooks = registered_webhooks(resolve(flags))
    if as_json:
        say_json({"webhooks": hooks})
        return
    for hook in hooks:
        events = hook.get("events")
        named = ", ".join(map(str, events)) if isinstance(events, list) else ""
        say_cells(hook.get("id", ""), hook.get("url", ""), named)


@webhook.command()
@click.argument("webhook_id", metavar="ID")
@api_options
@_home
def delete(webhook_id: str, **flags: Any) -> None:
    """Remove the webhook ID from the API."""
    from oa_sync.commands.webhook import delete_webhook
    from oa_sync.settings import resolve

    delete_webhook(resolve(flags), webhook_id)
    say(f"{webhook_id} removed")
