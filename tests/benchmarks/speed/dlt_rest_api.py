"""dlt's own `rest_api` source over the same API.

    python -m tests.benchmarks.speed.dlt_rest_api default|tuned reports|runs BASE_URL FOLDER

`default` is dlt as it comes; `tuned` writes Parquet, and `tuned()` goes into its environment.
"""

from __future__ import annotations

import os
import sys
from typing import Any, cast

KEY_VARIABLE = "OPENANALYST_API_KEY"
DATABASE = "dlt.duckdb"
_TUNED = {
    "EXTRACT__WORKERS": "32",
    "EXTRACT__MAX_PARALLEL_ITEMS": "64",
    "NORMALIZE__WORKERS": "2",
    "SOURCES__DATA_WRITER__BUFFER_MAX_ITEMS": "50000",
    "NORMALIZE__DATA_WRITER__BUFFER_MAX_ITEMS": "100000",
    "NORMALIZE__DATA_WRITER__FILE_MAX_ITEMS": "1000000",
}


def tuned(items: int) -> dict[str, str]:
    """dlt's settings for `items` answers or rows of a list: more extract workers, larger buffers and
    files, and what is extracted in four files, because a normalize process takes whole files."""
    return {**_TUNED, "SOURCES__DATA_WRITER__FILE_MAX_ITEMS": str(max(1, items // 4))}


def configuration(kind: str, base_url: str, parallel: bool) -> dict[str, Any]:
    """What `rest_api_source` reads: reports with their details, or runs from their list."""
    client = {"base_url": base_url, "auth": {"type": "bearer", "token": os.environ[KEY_VARIABLE]}}
    if kind == "runs":
        cursor = {"type": "cursor", "cursor_path": "pagination.cursor", "cursor_param": "after"}
        endpoint = {
            "path": "agents/sessions",
            "params": {"limit": 100},
            "data_selector": "data",
            "paginator": cursor,
        }
        return {"client": client, "resources": [{"name": "runs", "endpoint": endpoint}]}
    pages = {"type": "page_number", "base_page": 1, "total_path": "meta.total_pages"}
    listed = {
        "path": "reports",
        "params": {"per_page": 100},
        "data_selector": "data",
        "paginator": pages,
    }
    detail = {
        "path": "reports/{resources.reports.id}",
        "data_selector": "$",
        "paginator": "single_page",
    }
    return {
        "client": client,
        "resources": [
            {"name": "reports", "endpoint": listed},
            {"name": "report_details", "endpoint": detail, "parallelized": parallel},
        ],
    }


def main(how: str, kind: str, base_url: str, folder: str) -> None:
    import dlt
    from dlt.sources.rest_api import rest_api_source
    from dlt.sources.rest_api.typing import RESTAPIConfig

    is_tuned = how == "tuned"
    source = rest_api_source(
        cast(RESTAPIConfig, configuration(kind, base_url, parallel=is_tuned and kind == "reports"))
    )
    pipeline = dlt.pipeline(
        "rival",
        pipelines_dir=f"{folder}/pipelines",
        destination=dlt.destinations.duckdb(f"{folder}/{DATABASE}"),
        dataset_name="openanalyst",
    )
    if is_tuned:
        pipeline.run(source, loader_file_format="parquet")
    else:
        pipeline.run(source)


if __name__ == "__main__":
    main(*sys.argv[1:])
