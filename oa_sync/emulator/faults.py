"""Faults on request: what goes wrong, how often, and for which paths and ids."""

from __future__ import annotations

import random
import threading
import zlib
from collections import Counter
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

from oa_sync.emulator.replies import Refusal, Reply

# Each kind of fault with the argument it takes after a colon, and that argument's default.
KINDS: dict[str, str] = {
    "500": "",
    "502": "",  # an HTML page, as proxies send it
    "403": "",
    "429": "1",  # Retry-After: seconds or an HTTP date
    "reset": "",  # the connection ends in mid-body
    "cut": "",  # half the JSON, under headers that fit it
    "empty": "",
    "slow": "1",  # seconds before the answer
    "gzip": "64",  # MiB that a small compressed body unpacks to
    "redirect": "http://elsewhere.invalid",  # where to
}
BEFORE = frozenset({"500", "502", "403", "429", "redirect"})
HTML = b"<html><head><title>502 Bad Gateway</title></head><body>502 Bad Gateway</body></html>"


class Fault(NamedTuple):
    """A kind of `KINDS`, its probability (0 to 1) and its argument."""

    kind: str
    probability: float
    argument: str


@dataclass(frozen=True, slots=True)
class Faults:
    """Which faults happen. `paths` are prefixes after /v1; without any, all paths.

    Details of the ids in `poison_500` always answer 500, of those in `poison_text` never JSON.
    """

    rates: tuple[Fault, ...] = ()
    paths: tuple[str, ...] = ()
    poison_500: frozenset[str] = frozenset()
    poison_text: frozenset[str] = frozenset()
    seed: int = 0

    @classmethod
    def parse(cls, spec: str) -> Faults:
        """Read a spec such as `500=0.1,slow=0.05:2.5,paths=/reports|/datasets,poison-500=rpt_1`.

        Words are the kinds of `KINDS` with a probability and perhaps an argument, and `paths`,
        `poison-500`, `poison-text` (values apart by `|`) and `seed`. Empty or `off` is no fault.
        ValueError says what it does not understand.
        """
        faults = cls()
        for item in filter(None, (part.strip() for part in spec.split(","))):
            if item == "off":
                continue
            name, equals, value = item.partition("=")
            if not equals:
                raise ValueError(f"fault {item!r} needs a value: {name}=…")
            faults = _with(faults, name, value)
        if sum(fault.probability for fault in faults.rates) > 1:
            raise ValueError(f"the probabilities in {spec!r} add up to more than 1")
        return faults


class FaultInjector:
    """Picks the fault for each request. `injected` counts what was picked, by kind."""

    def __init__(self) -> None:
        self.injected: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._faults = Faults()
        self._random = random.Random(0)

    def set(self, faults: Faults | str) -> None:
        """Use these faults (or the spec of them) from now on, starting at their seed."""
        chosen = Faults.parse(faults) if isinstance(faults, str) else faults
        with self._lock:
            self._faults = chosen
            self._random = random.Random(chosen.seed)

    def pick(self, path: str) -> Fault | None:
        """The fault that a request for `path` (after /v1) meets, if any."""
        with self._lock:
            faults = self._faults
            if not faults.rates or (faults.paths and not path.startswith(faults.paths)):
                return None
            draw = self._random.random()
            for fault in faults.rates:
                draw -= fault.probability
                if draw < 0:
                    self.injected[fault.kind] += 1
                    return fault
            return None

    def poisoned(self, record_id: str | None) -> Reply | None:
        """The answer for an id in `poison_text`; None for other ids. Refusal 500 for one in `poison_500`."""
        if record_id in self._faults.poison_500:
            raise Refusal(500, f"the record {record_id} cannot be read")
        if record_id in self._faults.poison_text:
            return Reply(200, b'{"id": NaN, this is not JSON')
        return None


def instead(fault: Fault, path: str) -> Reply:
    """The answer in place of the real one, for a fault of `BEFORE`. Refusal for 500 and 403."""
    match fault.kind:
        case "502":
            return Reply(502, HTML, (("content-type", "text/html"),))
        case "429":
            reply = Reply.of(429, {"error": {"code": "busy", "message": "busy", "status": 429}})
            return replace(reply, headers=(*reply.headers, ("retry-after", fault.argument)))
        case "redirect":
            return Reply(307, b"", (("location", fault.argument + path),))
        case _:
            raise Refusal(int(fault.kind), "injected fault")


def spoiled(fault: Fault, reply: Reply) -> Reply:
    """The real answer, spoiled by a fault that is not of `BEFORE`."""
    match fault.kind:
        case "reset":
            return replace(reply, aborts=True)
        case "cut":
            return replace(reply, body=reply.body[: len(reply.body) // 2])
        case "empty":
            return replace(reply, body=b"")
        case "gzip":
            headers = (*reply.headers, ("content-encoding", "gzip"))
            return replace(reply, body=_bomb(int(fault.argument)), headers=headers)
        case _:
            return reply


@lru_cache(maxsize=1)
def _bomb(mebibytes: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    block = b" " * (1 << 20)
    parts = [packer.compress(b'{"data":[')]
    parts += [packer.compress(block) for _ in range(mebibytes)]
    return b"".join([*parts, packer.compress(b"]}"), packer.flush()])


def _with(faults: Faults, name: str, value: str) -> Faults:
    names = tuple(filter(None, value.split("|")))
    match name:
        case "paths":
            return replace(faults, paths=names)
        case "poison-500":
            return replace(faults, poison_500=frozenset(names))
        case "poison-text":
            return replace(faults, poison_text=frozenset(names))
        case "seed":
            return replace(faults, seed=int(value))
        case _ if name in KINDS:
            return replace(faults, rates=(*faults.rates, _rate(name, value)))
        case _:
            words = ", ".join([*KINDS, "paths", "poison-500", "poison-text", "seed"])
            raise ValueError(f"fault {name!r} is unknown; one of {words}")


def _rate(kind: str, value: str) -> Fault:
    share, _, argument = value.partition(":")
    try:
        probability = float(share)
    except ValueError:
        probability = -1.0
    if not 0 <= probability <= 1:
        raise ValueError(f"{kind}={value}: the probability must be a number from 0 to 1")
    if argument and kind in ("slow", "gzip"):
        try:
            float(argument) if kind == "slow" else int(argument)
        except ValueError as error:
            raise ValueError(f"{kind}={value}: {argument!r} is not a number") from error
    return Fault(kind, probability, argument or KINDS[kind])
