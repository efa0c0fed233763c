"""`oa-sync emulator`: an OpenAnalyst API on loopback, to try things against."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from oa_sync.cli.printing import say

PLAN_NAMES = ("free", "basic", "pro", "max", "starter", "enterprise")


@click.command()
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder with datasets, reports, dashboards and agent_runs .ndjson.  [default: a sample]",
)
@click.option("--synthetic", metavar="SPEC", help="Made-up data: reports=5000,rows=20,datasets=50.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8765,
    show_default=True,
    help="Of 127.0.0.1; 0: a free one.",
)
@click.option(
    "--dialect",
    type=click.Choice(["page", "cursor"]),
    default="page",
    show_default=True,
    help="Which of the two documented forms of the API.",
)
@click.option(
    "--plan",
    type=click.Choice(PLAN_NAMES),
    default="enterprise",
    show_default=True,
    help="Whose request limits are enforced.",
)
@click.option("--rpm", type=click.IntRange(0), help="Requests a minute; 0 is unlimited.")
@click.option("--rpd", type=click.IntRange(0), help="Requests a day; 0 is unlimited.")
@click.option(
    "--retry-after",
    type=click.Choice(["seconds", "date"]),
    default="seconds",
    show_default=True,
    help="Form of the header on a 429.",
)
@click.option("--max-per-page", type=click.IntRange(0), default=0, help="Rows a page at most.")
@click.option("--no-updated-at", is_flag=True, help="Rows do not say when they changed.")
@click.option("--wrap-detail", is_flag=True, help='Details are inside {"data": …}.')
@click.option("--full-lists", is_flag=True, help="List rows carry everything.")
@click.option("--lean-lists", is_flag=True, help="List rows carry ids, names and times only.")
@click.option(
    "--order",
    type=click.Choice(["stored", "updated_desc", "updated_asc", "random"]),
    default="stored",
    show_default=True,
    help="Order of every list.",
)
@click.option("--runs-list", is_flag=True, help="GET /agents/runs exists (page dialect).")
@click.option("--latency-ms", type=click.FloatRange(0), default=0.0, help="Wait before an answer.")
@click.option("--faults", metavar="SPEC", default="", help="Such as 500=0.1,reset=0.05,slow=0.1:2.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of everything random.")
def emulator(
    data: Path | None,
    synthetic: str | None,
    port: int,
    faults: str,
    seed: int,
    **options: Any,
) -> None:
    """Serve an emulated OpenAnalyst API on 127.0.0.1 until it is stopped.

    Any key that starts with `oa_` is accepted. The base URL goes to stderr. Callbacks are
    signed with the secret `whsec_emulator`.
    """
    from oa_sync.emulator.app import Emulator
    from oa_sync.emulator.data import SAMPLE, load_workspace
    from oa_sync.emulator.options import EmulatorOptions
    from oa_sync.emulator.server import listen, serve, url_of
    from oa_sync.emulator.synthetic import synthetic_workspace

    if data and synthetic:
        raise click.UsageError("--data and --synthetic contradict each other; choose one")
    try:
        settings = EmulatorOptions(seed=seed, **options)
        made_up = synthetic_workspace(synthetic, seed) if synthetic else None
        served = Emulator(made_up or load_workspace(data or SAMPLE), settings)
        served.faults.set(faults)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    try:
        listener = listen(port)
    except OSError as error:
        raise click.UsageError(
            f"port {port} cannot be used ({error.strerror}); choose another with --port"
        ) from error
    say(f"OpenAnalyst emulator ({settings.dialect}) at {url_of(listener)}", err=True)
    serve(served, listener)
