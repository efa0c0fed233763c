"""Which connection makes room for a newcomer, decision by decision; `tests/security` has the attacks."""

from __future__ import annotations

import pytest

from oa_sync.webhooks.connections import YOUNG_SECONDS, Connections, Stage
from tests.support.clock import ManualClock


class Sender:
    """A connection that writes its name down when it is ended."""

    def __init__(self, name: str, ended: list[str]) -> None:
        self._name, self._ended = name, ended

    def end(self) -> None:
        self._ended.append(self._name)


class Table:
    """`Connections` of at most `most`, and who was ended, in turn."""

    def __init__(self, most: int) -> None:
        self.clock = ManualClock()
        self.connections = Connections(most, self.clock)
        self.ended: list[str] = []
        self._senders: dict[str, Sender] = {}

    def add(self, name: str, stage: Stage = Stage.HEAD) -> bool:
        sender = self._senders[name] = Sender(name, self.ended)
        is_in = self.connections.add(sender)
        if is_in and stage is not Stage.HEAD:
            self.move(name, stage)
        return is_in

    def move(self, name: str, stage: Stage) -> None:
        self.connections.move(self._senders[name], stage)

    def remove(self, name: str) -> None:
        self.connections.remove(self._senders[name])


def test_as_many_as_are_allowed_are_open_and_for_one_more_one_goes() -> None:
    table = Table(2)
    assert table.add("a")
    assert table.add("b")
    assert table.ended == []
    assert table.add("c")
    assert table.add("d")
    assert table.ended == ["a", "b"]


def test_who_is_closed_leaves_a_place_and_is_not_ended_any_more() -> None:
    table = Table(2)
    table.add("a")
    table.add("b")
    table.remove("a")
    table.remove("a")
    assert table.add("c")
    assert table.ended == []
    table.add("d")
    assert table.ended == ["b"]


@pytest.mark.parametrize("stage", [Stage.HEAD, Stage.BODY, Stage.PROVEN])
def test_of_one_stage_who_entered_it_first_goes_whenever_it_came(stage: Stage) -> None:
    table = Table(2)
    table.add("a", stage)
    table.add("b", stage)
    table.clock.advance(2 * YOUNG_SECONDS)
    table.move("a", stage)
    table.add("c", Stage.WHOLE)
    assert table.ended == ["b"]


def test_where_all_are_being_answered_nobody_is_ended_and_the_newcomer_is_not_let_in() -> None:
    table = Table(2)
    table.add("a", Stage.WHOLE)
    table.add("b", Stage.WHOLE)
    assert not table.add("c")
    assert table.ended == []
    table.remove("a")
    assert table.add("d"), "who was not let in takes no place"
    assert table.add("e")
    assert table.ended == ["d"]


@pytest.mark.parametrize(
    ("age", "goes"),
    [
        # A head that is young may be there and not read yet, so it is as good as the body before it.
        (0.0, "body"),
        (YOUNG_SECONDS - 0.001, "body"),
        (YOUNG_SECONDS, "head"),
        (YOUNG_SECONDS + 60, "head"),
    ],
)
def test_a_head_is_young_for_a_second(age: float, goes: str) -> None:
    table = Table(2)
    table.add("body", Stage.BODY)
    table.add("head")
    table.clock.advance(age)
    table.add("newcomer")
    assert table.ended == [goes]


def test_a_young_head_that_came_before_the_body_goes_before_it() -> None:
    table = Table(2)
    table.add("head")
    table.add("body", Stage.BODY)
    table.add("newcomer")
    assert table.ended == ["head"]


@pytest.mark.parametrize("other", [Stage.PROVEN, Stage.WHOLE])
def test_a_young_head_goes_before_who_got_on_further_than_a_body(other: Stage) -> None:
    table = Table(2)
    table.add("other", other)
    table.add("head")
    table.add("newcomer")
    assert table.ended == ["head"]


def test_who_was_ended_is_told_every_ten_seconds_with_how_many_there_were(
    caplog: pytest.LogCaptureFixture,
) -> None:
    table = Table(1)
    table.add("first")
    for seconds in (0.0, 0.0, 9.99, 0.01, 5.0, 5.0):
        table.clock.advance(seconds)
        table.add("next")
    told = "1 connections are open; ended those that got on least: %d so far"
    assert [record.getMessage() for record in caplog.records] == [told % n for n in (1, 4, 6)]
