"""A real S3 API on the loopback: moto's server, with a bucket."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from unittest import mock

BUCKET = "lake"
REGION = "eu-central-1"
_DLT = "DESTINATION__FILESYSTEM__CREDENTIALS__"


@contextmanager
def running_s3() -> Iterator[str]:
    """Start a server on a free port and make `BUCKET`; yields the endpoint's URL."""
    import boto3
    from moto.moto_server.threaded_moto_server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        endpoint = f"http://{host}:{port}"
        client = boto3.client(
            "s3",
            endpoint_url=endpoint,
            region_name=REGION,
            aws_access_key_id="key",
            aws_secret_access_key="secret",
        )
        # All servers of a process share what they store.
        with suppress(client.exceptions.BucketAlreadyOwnedByYou):
            client.create_bucket(
                Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION}
            )
        yield endpoint
    finally:
        server.stop()


def dlt_environment(endpoint: str) -> dict[str, str]:
    """Credentials under dlt's names."""
    return {
        f"{_DLT}AWS_ACCESS_KEY_ID": "key",
        f"{_DLT}AWS_SECRET_ACCESS_KEY": "secret",
        f"{_DLT}REGION_NAME": REGION,
        f"{_DLT}ENDPOINT_URL": endpoint,
    }


def aws_environment(endpoint: str) -> dict[str, str]:
    """Credentials under AWS's own names."""
    return {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ENDPOINT_URL": endpoint,
    }


@contextmanager
def only_in_environment(values: dict[str, str]) -> Iterator[None]:
    """Set `values`, and take away every other credential for a store."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("AWS_", _DLT))
    }
    with mock.patch.dict(os.environ, {**kept, **values}, clear=True):
        yield
