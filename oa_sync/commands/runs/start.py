"""`oa-sync runs start`: one agent run, started once, registered for the next sync, followed on demand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from oa_sync.client import Response
from oa_sync.clock import Clock, isoformat
from oa_sync.commands.webhook import check_callback_url
from oa_sync.definitions.model import Resource
from oa_sync.definitions.templates import fill_path
from oa_sync.errors import (
    ApiError,
    BudgetExhausted,
    ConfigurationError,
    InvalidResponseError,
    NotFoundError,
    OaSyncError,
)
from oa_sync.extract.jobs.polling import Polling
from oa_sync.extract.runs.known import Announcement, is_usable_id, row_of_key, runs_resource
from oa_sync.extract.statuses import is_terminal, status_of
from oa_sync.settings import Settings
from oa_sync.shape.document import read_document
from oa_sync.workspace.announced import register
from oa_sync.workspace.connection import Connection, connect
from oa_sync.workspace.stopping import Stop, StoppableClock, Stopping, run_stoppable
from oa_sync.workspace.surroundings import Surroundings

PATH = "agents/run"
_ID_FIELDS = ("run_id", "id", "session_id")
_FIELDS_OF_SESSIONS = ("dataset_ids", "model", "max_steps")
_MISSED_POLLS = 3
"""After this many polls with 404 the run is given up. The API may know a new run only a moment later."""


@dataclass(frozen=True)
class RunRequest:
    """What to start. `context` is a JSON object for the agent, `webhook_url` is called when it ends."""

    agent: str
    task: str
    context: Mapping[str, Any] | None = None
    webhook_url: str | None = None

    def body(self, dialect: Literal["page", "cursor"]) -> dict[str, Any]:
        """The JSON of the request. In the cursor dialect the task is a `prompt`, and `dataset_ids`, `model`
        and `max_steps` are moved from the context to fields of their own."""
        context = dict(self.context or {})
        if dialect == "page":
            body: dict[str, Any] = {"agent_id": self.agent, "task": self.task}
        else:
            own = {name: context.pop(name) for name in _FIELDS_OF_SESSIONS if name in context}
            body = {"prompt": self.task, "agent_id": self.agent, **own}
        if context:
            body["context"] = context
        if self.webhook_url is not None:
            body["webhook_url"] = self.webhook_url
        return body


@dataclass
class StartedRun:
    """A run that was started: its id, the newest status known, and the requests it took."""

    run_id: str
    status: str | None
    started_at: str
    ended: bool = False
    requests: int = 0

    def as_json(self) -> dict[str, Any]:
        """The object that `runs start --json` prints."""
        return {
            "run_id": self.run_id,
            "status": self.status,
            "started_at": self.started_at,
            "ended": self.ended,
            "requests": self.requests,
        }


def start_run(
    settings: Settings,
    request: RunRequest,
    *,
    wait_seconds: float | None = None,
    clock: Clock | None = None,
    started: Callable[[StartedRun], None] = lambda run: None,
    polled: Callable[[int, str | None], None] = lambda polls, status: None,
) -> StartedRun:
    """Start a run, once, and register it: the next sync follows it, whatever happens here.

    `wait_seconds`: poll until the run ends, for at most so long. `started` is called as soon as the run is
    registered, `polled` after every poll, with the number of polls and the status.

    Raises:
        ConfigurationError: an argument is wrong; nothing was sent.
        BudgetExhausted: no request is left: nothing was sent, or waiting for the run ended early.
        ApiError: the API refused it, or gave no answer: then the message says that it may be running.
    """
    _check(request)
    start = _Start(settings, clock or Clock(), started, polled)
    return run_stoppable(lambda stop: start.run(request, wait_seconds, stop))


class _Start:
    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        started: Callable[[StartedRun], None],
        polled: Callable[[int, str | None], None],
    ) -> None:
        self._settings, self._clock = settings, clock
        self._started, self._polled = started, polled

    async def run(self, request: RunRequest, wait_seconds: float | None, stop: Stop) -> StartedRun:
        stopping = Stopping()
        with stopping.on(stop):
            async with connect(
                self._settings, Surroundings(self._clock), stopping, posts=True
            ) as connection:
                definition = await stopping.grant(connection.definition())
                resource = runs_resource(definition)
                if resource is None:
                    raise ConfigurationError(
                        "the definition has no resource with a status and a detail, so a run could not"
                        " be followed; declare status and detail on it"
                    )
                dialect = await stopping.grant(connection.api_dialect())
                run = await self._post(connection, request.body(dialect))
                run.ended = is_terminal(resource, run.status)
                self._started(run)
                if wait_seconds is not None and not run.ended:
                    clock = StoppableClock(self._clock, stopping)
                    await self._wait(connection, resource, run, Polling(clock, wait_seconds))
                run.requests = connection.client.counts.made
                return run

    async def _post(self, connection: Connection, body: dict[str, Any]) -> StartedRun:
        response = await connection.before_stop(
            connection.client.request("POST", PATH, json=body, idempotent=False),
            sent=f"POST {PATH} was sent, so the run may be running: look for it at the API, and add its id"
            " with `oa-sync runs add`",
        )
        fields = _object(response)
        run_id = next((str(fields[name]) for name in _ID_FIELDS if fields.get(name)), "")
        if not is_usable_id(run_id):
            raise InvalidResponseError(
                f"{response.what} answered {response.status} without the id of the run, which may be"
                " running: look for it at the API, and add its id with `oa-sync runs add`",
                status=response.status,
            )
        status = fields.get("status")
        run = StartedRun(
            run_id, status if isinstance(status, str) else None, isoformat(self._clock.now())
        )
        self._register(run, "start", payload=fields)
        return run

    async def _wait(
        self, connection: Connection, resource: Resource, run: StartedRun, polling: Polling
    ) -> None:
        assert resource.detail is not None
        path = fill_path(resource.detail.path, row_of_key(resource, (run.run_id,)))
        missed = 0
        while not run.ended:
            try:
                await polling.wait(f"run {run.run_id}", run.status or "unfinished")
                response = await connection.before_stop(
                    connection.client.request("GET", path), sent="the last answer did not come"
                )
            except NotFoundError:
                missed += 1
                if missed == _MISSED_POLLS:
                    raise
                continue
            except (ApiError, BudgetExhausted) as error:
                error.args = (f"{error}. Run {run.run_id} is registered: the next sync follows it",)
                raise
            status = status_of(resource, read_document(resource, response.body).fields)
            self._polled(polling.polls, status)
            if status != run.status:
                run.status, run.ended = status, is_terminal(resource, status)
                self._register(run, "poll", body=bytes(response.body) if run.ended else None)

    def _register(
        self,
        run: StartedRun,
        how: str,
        *,
        payload: Mapping[str, Any] | None = None,
        body: bytes | None = None,
    ) -> None:
        seen = Announcement(run.run_id, self._clock.now(), how, run.status, payload, body)
        try:
            register(self._settings, self._clock, [seen])
        except OaSyncError as error:
            raise OaSyncError(
                f"run {run.run_id} was started but could not be registered: {error}; when that is"
                f" mended, run `oa-sync runs add {run.run_id}`"
            ) from error


def _object(response: Response) -> dict[str, Any]:
    """The object that the answer is, or the one in its `data`."""
    document = response.json()
    if not isinstance(document, dict):
        return {}
    inner = document.get("data")
    has_id = any(document.get(name) for name in _ID_FIELDS)
    return inner if isinstance(inner, dict) and not has_id else document


def _check(request: RunRequest) -> None:
    for name, value in (("--agent", request.agent), ("--task", request.task)):
        if not value.strip():
            raise ConfigurationError(f"{name} is empty")
    if request.webhook_url is not None:
        check_callback_url(request.webhook_url)
