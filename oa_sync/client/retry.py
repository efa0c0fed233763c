"""Trying again: which failures may pass, how long to wait, when to give up.

tenacity (which dlt brings) and stamina were looked at first. tenacity takes a sleep function and a
wait function, so our clock and `Retry-After` would work. But three rules would each need a callback
of ours, and the library would only give the `while`: separate allowances for rate limits and for unreadable
bodies, time that leaves out the limiter's waits, and no second sending of a request that may have
been received. stamina waits by its own clock and knows no such rules.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from oa_sync.client.failures import Failure
from oa_sync.clock import Clock
from oa_sync.errors import (
    ApiError,
    BodyTooLargeError,
    ConnectionFailedError,
    InvalidResponseError,
    RateLimitedError,
    ServerError,
)

_HEALING = frozenset(
    {500, 502, 503, 504}  # RFC 9110, section 15.6
    # Cloudflare's own, for an origin that is away, slow or answers nonsense ("5xx errors" in its documentation).
    # Not 526: a certificate that is wrong stays so.
    | {520, 521, 522, 523, 524, 525, 527, 530}
    | {529}  # "overloaded", of several vendors
    | {598, 599}  # proxies' words for a time-out behind them
)
"""Server errors that may pass by themselves. 501, 505, 507, 508 and whatever is not known here are told at once."""
_SHORTEST_LIMITED_WAIT = 1.0


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how long one request is tried. Seconds; waits have full jitter.

    max_tries: attempts in all.
    total: time of attempts and waits together; the limiter's waits do not count.
    base, cap: the wait before attempt n+1 is random between 0 and min(cap, base * 2**(n-1)).
    max_wait: a longer `Retry-After` is not waited for; the error goes to the caller at once.
    max_limited: repetitions after a rate limit (each costs quota and is likely to be refused again).
    max_invalid: repetitions after a 2xx answer with an empty, cut or otherwise unreadable body.
    random: the source of jitter.
    """

    max_tries: int = 6
    total: float = 300.0
    base: float = 0.5
    cap: float = 30.0
    max_wait: float = 120.0
    max_limited: int = 2
    max_invalid: int = 2
    random: Random = field(default_factory=Random, repr=False, compare=False)


class Attempts:
    """The attempts at one request. `made` counts them."""

    def __init__(
        self, policy: RetryPolicy, clock: Clock, *, idempotent: bool, deadline: float | None
    ) -> None:
        self._policy, self._clock = policy, clock
        self._idempotent, self._deadline = idempotent, deadline
        self._limited = self._invalid = 0
        self.made = 0
        self.spent = 0.0

    def wait_after(self, failure: Failure) -> float:
        """Seconds to wait before the next attempt.

        Raises:
            ApiError: the failure's own, when there is to be no next attempt.
        """
        self.made += 1
        wait = self._wait(failure)
        late = self._deadline is not None and self._clock.monotonic() + wait >= self._deadline
        if (
            late
            or self.made >= self._policy.max_tries
            or self.spent + wait > self._policy.total
            or not self._can_heal(failure)
        ):
            raise self._given_up(failure)
        self.spent += wait
        return wait

    def _can_heal(self, failure: Failure) -> bool:
        if failure.final or (failure.retry_after or 0.0) > self._policy.max_wait:
            return False
        if not self._idempotent:
            return not failure.sent
        match failure.error:
            case RateLimitedError():
                self._limited += 1
                return self._limited <= self._policy.max_limited
            case InvalidResponseError():
                self._invalid += 1
                return self._invalid <= self._policy.max_invalid
            case ServerError(status=status):
                return status in _HEALING
            case ConnectionFailedError():
                return True
            case _:
                return False

    def _wait(self, failure: Failure) -> float:
        if failure.retry_after is not None:
            return max(_SHORTEST_LIMITED_WAIT, failure.retry_after)
        policy = self._policy
        longest = min(policy.cap, policy.base * 2.0 ** min(self.made - 1, 60))
        wait = policy.random.uniform(0.0, longest)
        limited = isinstance(failure.error, RateLimitedError)
        return max(_SHORTEST_LIMITED_WAIT, wait) if limited else wait

    def _given_up(self, failure: Failure) -> ApiError:
        error = failure.error
        added = f" (tried {self.made} times)" if self.made > 1 else ""
        if not self._idempotent and failure.sent and _outcome_unknown(error):
            added += "; but it may have been received: look before it is sent again"
        if added:
            error.args = (f"{error}{added}",)
        return error


def _outcome_unknown(error: ApiError) -> bool:
    return isinstance(
        error, ConnectionFailedError | ServerError | InvalidResponseError | BodyTooLargeError
    )
