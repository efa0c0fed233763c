"""Talking HTTP to one API: session and auth, retry, paging, dialect detection."""

from __future__ import annotations

from oa_sync.client.auth import Credential, credential
from oa_sync.client.body import BodyLimits
from oa_sync.client.head import Timeouts
from oa_sync.client.response import Response
from oa_sync.client.retry import RetryPolicy
from oa_sync.client.session import ApiClient, RequestCounts

__all__ = [
    "ApiClient",
    "BodyLimits",
    "Credential",
    "RequestCounts",
    "Response",
    "RetryPolicy",
    "Timeouts",
    "credential",
]
