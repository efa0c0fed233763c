"""What an answer says of more rows, in the words of many APIs, and words that say nothing of that."""

from __future__ import annotations

from typing import Any

import pytest

from oa_sync.client.paging.doubts import doubt, says_more
from oa_sync.client.paging.envelope import scalars
from oa_sync.definitions.model import AutoPaginator, Endpoint, OffsetPaginator
from oa_sync.errors import IncompleteListError
from tests.client.scripted import Reply, Seen, in_turn, reply
from tests.client.test_paging import ids, read, rows, stops

PLAIN = Endpoint(path="reports")
ROWS = rows(0, 2)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"Items": ROWS, "LastEvaluatedKey": {"id": 9}}, "LastEvaluatedKey.id is 9"),
        ({"items": ROWS, "metadata": {"continue": "x"}}, "metadata.continue is x"),
        ({"items": ROWS, "paging": {"next": {"marker": "x"}}}, "paging.next.marker is x"),
        ({"Contents": ROWS, "IsTruncated": True}, "IsTruncated is true"),
        ({"Contents": ROWS, "IsTruncated": "true"}, "IsTruncated is true"),
        ({"items": ROWS, "done": False}, "done is false"),
        ({"content": ROWS, "last": False}, "last is false"),
        ({"content": ROWS, "meta": {"is-last-page": False}}, "is-last-page is false"),
        ({"items": ROWS, "moreResults": True}, "moreResults is true"),
        ({"items": ROWS, "Has-More": "true"}, "Has-More is true"),
        ({"items": ROWS, "remaining": 25}, "remaining says that there are 25 more"),
        ({"data": {"things": {"nodes": ROWS, "pageInfo": {"hasNextPage": True}}}}, "NextPage is"),
        ({"response": {"numFound": 35, "docs": ROWS}}, "response.numFound says that there are 35"),
        ({"totalResults": 35, "Resources": ROWS}, "totalResults says that there are 35"),
        ({"@odata.count": 35, "value": ROWS}, "@odata.count'] says that there are 35"),
        ({"hits": {"total": {"value": 35}, "hits": ROWS}}, "hits.total.value says"),
        ({"hits": {"total": {"value": 2, "relation": "gte"}, "hits": ROWS}}, "relation is gte"),
        ({"total": 2, "total_relation": "gte", "items": ROWS}, "total_relation is gte"),
        ({"recordsTotal": 35, "data": ROWS}, "recordsTotal says that there are 35"),
        ({"total": "35", "data": ROWS}, "total says that there are 35"),
        ({"page": {"total-elements": 35}, "data": ROWS}, "total-elements says"),
        ({"data": {"children": ROWS, "after": "t3_x"}}, "data.after is t3_x"),
    ],
    ids=str,
)
def test_auto_ends_no_list_of_which_the_answer_says_that_it_goes_on(body: Any, said: str) -> None:
    script = in_turn(reply(body))
    assert stops(script, AutoPaginator(), said, PLAIN, IncompleteListError) == (0, 1)


@pytest.mark.parametrize(
    "body",
    [
        {"items": [{"id": 0, "done": False, "remaining": 5, "total": 9, "next": {"after": "x"}}]},
        {"items": ROWS, "rate_limit": {"remaining": 25, "limit": 100}},
        {"items": ROWS, "stats": {"numFound": 35, "done": False, "totalSize": 9}},
        {"items": ROWS, "job": {"status": {"last": False, "truncated": True}}},
        {"items": ROWS, "next": None, "remaining": 25},
        {"items": ROWS, "has_more": False, "done": False, "offset": "a token"},
        {"items": ROWS, "after": "2026-01-01T00:00:00Z", "offset": "10"},
        {"items": ROWS, "remaining": 0, "done": True, "last": True, "IsTruncated": False},
        {"items": ROWS, "paging": {"cursors": {"before": "a", "after": "b"}}},
        {"items": ROWS, "links": {"next": {"href": None, "rel": "next", "method": "GET"}}},
        {"data": ROWS, "recordsTotal": 35, "recordsFiltered": 2},
        {"hits": {"total": {"value": 2, "relation": "eq"}, "hits": ROWS}},
        {"totalResults": 2, "itemsPerPage": 2, "startIndex": 1, "Resources": ROWS},
        {"Items": ROWS, "Count": 2, "LastEvaluatedKey": None},
    ],
    ids=str,
)
def test_auto_takes_other_things_by_such_names_for_no_sign_of_more(body: Any) -> None:
    found, seen = read(in_turn(reply(body)), AutoPaginator(), PLAIN)
    assert (len(found), len(seen)) == (1, 1)
    assert found[0].is_last


@pytest.mark.parametrize(
    "headers",
    [
        *({"X-Has-More": "true"}, {"X-Pagination": '{"total":35,"page":1}'}, {"X-Pages": "4"}),
        *({"X-Paging": '{"TotalPages": 4}'}, {"X-Page-Count": "2"}, {"X-Is-Last": "false"}),
    ],
    ids=str,
)
def test_auto_reads_what_headers_say_of_more(headers: dict[str, str]) -> None:
    script = in_turn(reply(ROWS, **headers))
    said = next(iter(headers)).lower()
    assert stops(script, AutoPaginator(), said, PLAIN, IncompleteListError) == (0, 1)


@pytest.mark.parametrize(
    "headers",
    [
        *({"X-Has-More": "false"}, {"X-Pagination": '{"total":2,"page":1,"TotalPages":1}'}),
        *({"X-Pages": "1"}, {"X-Pagination": "page=1"}, {"X-RateLimit-Remaining": "25"}),
    ],
    ids=str,
)
def test_headers_that_say_nothing_of_more_end_nothing(headers: dict[str, str]) -> None:
    assert len(read(in_turn(reply(ROWS, **headers)), AutoPaginator(), PLAIN)[1]) == 1


@pytest.mark.parametrize("form", ["after", "link", "offset"])
def test_auto_follows_what_hubspot_and_airtable_say(form: str) -> None:
    def script(seen: Seen) -> Reply:
        token = seen.query.get("after") or seen.query.get("offset") or "itr/0"
        start = int(token.removeprefix("itr/"))
        following = f"itr/{start + 10}"
        told: dict[str, Any] = {
            "after": {"paging": {"next": {"after": following}}},
            "link": {"paging": {"next": {"after": "no", "link": f"?after={following}"}}},
            "offset": {"offset": following},
        }
        more = told[form] if start < 20 else {}
        return reply({"results": rows(start, 10 if start < 20 else 5), **more})

    found, seen = read(script, AutoPaginator(), PLAIN)
    assert ids(found) == list(range(25))
    assert len(seen) == 3


@pytest.mark.parametrize("told", [{"relation": "gte"}, {"valueRelation": "gt"}], ids=str)
def test_a_total_that_is_a_lower_bound_by_its_own_word_ends_nothing(told: dict[str, str]) -> None:
    def script(seen: Seen) -> Reply:
        start = int(seen.query["offset"])
        total = {"value": 20, **told}
        return reply({"data": rows(start, max(0, min(10, 35 - start))), "total": total})

    paginator = OffsetPaginator(limit=10, total_path="total.value")
    endpoint = Endpoint(path="reports", data_selector="data")
    found, _ = read(script, paginator, endpoint)
    assert ids(found) == list(range(35))
    assert {page.total for page in found} == {None}


def test_names_count_however_deep_the_rows_stand() -> None:
    page = {"rows": [], "meta": {"page": {"remaining": 3}}}
    document = {"a": {"b": {"c": {"d": page}}}}
    values = list(scalars(document, "a.b.c.d.rows"))
    assert doubt(values, 0, "a.b.c.d.rows") is not None
    page["meta"] = {"other": {"remaining": 3}}
    values = list(scalars(document, "a.b.c.d.rows"))
    assert doubt(values, 0, "a.b.c.d.rows") is None
    page["meta"] = {"isTruncated": True}
    assert says_more(document, "a.b.c.d.rows")
