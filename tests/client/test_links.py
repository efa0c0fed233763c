"""`Link` headers (RFC 8288) in every form that servers write."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oa_sync.client.paging.links import parsed_links
from oa_sync.definitions.model import AutoPaginator, HeaderLinkPaginator, Paginator
from oa_sync.errors import IncompleteListError
from tests.client.scripted import Reply, Seen, reply
from tests.client.test_paging import ids, read, rows, stops

NEXT = "/v1/reports?p=2"
FORMS = [
    f"<{NEXT}>; rel='next'",
    f"<{NEXT}>; rel='last next'",
    f'<{NEXT}>; title="a;rel=prev, b"; rel="next"',
    f'<{NEXT}>; title="a\\"b,c"; rel="next"',
    f'<{NEXT}>; title="a\\\\"; rel="next"',
    f'<{NEXT}>; title="<x>; rel=prev"; rel="ne\\xt"',
    f'<{NEXT}>;rel="next";rel="prev"',
    f"<{NEXT}>; title*=UTF-8'de'n%c3%a4chste; rel=next",
    f"<{NEXT}>; title='a, b'; rel=next",
    f"<{NEXT}> ; crossorigin ;; REL = NEXT ;",
    f', </v1>; rel="prev",,<{NEXT}>; rel=next, ',
    f'</a,b;c>; rel="last", <{NEXT}>; rel="next"',
]
ODD = [f'{NEXT}; rel="next"', f'<{NEXT}; rel="next"', f'<{NEXT}>; rel="next', f"<{NEXT}> rel=next"]


def linking(link: str) -> Reply:
    return reply({"data": rows(0, 2)}, link=link)


@pytest.mark.parametrize("link", FORMS)
@pytest.mark.parametrize("paginator", [HeaderLinkPaginator(), AutoPaginator()], ids=["set", "auto"])
def test_a_next_link_is_found_in_every_form(link: str, paginator: Paginator) -> None:
    def script(seen: Seen) -> Reply:
        return reply({"data": rows(2, 1)}) if seen.query.get("p") == "2" else linking(link)

    assert ids(read(script, paginator)[0]) == [0, 1, 2]


@pytest.mark.parametrize("link", ODD)
def test_a_link_header_that_is_not_understood_is_no_end(link: str) -> None:
    found = (0, 1)
    assert stops(lambda _: linking(link), HeaderLinkPaginator(), "RFC 8288.*next") == found
    said = "header link is .*next"
    assert stops(lambda _: linking(link), AutoPaginator(), said, error=IncompleteListError) == found


def test_auto_does_without_an_odd_link_header_where_the_body_tells() -> None:
    def script(seen: Seen) -> Reply:
        more = "p" not in seen.query
        body = {"data": rows(0 if more else 2, 2), "next": NEXT if more else None}
        return reply(body, link=ODD[0])

    assert ids(read(script, AutoPaginator())[0]) == [0, 1, 2, 3]


def test_an_odd_link_header_that_tells_of_no_next_page_is_no_sign_to_auto() -> None:
    assert len(read(lambda _: linking("/style.css; rel=preload"), AutoPaginator())[1]) == 1


@pytest.mark.parametrize(
    "link", ["", '</v1>; rel="prev"', '</v1>; title="; rel=next"', "</v1>; rel=prev; rel=next"]
)
def test_a_link_of_another_relation_is_an_end(link: str) -> None:
    assert len(read(lambda _: linking(link), HeaderLinkPaginator())[1]) == 1


TEXTS = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=12)


@given(
    st.lists(
        st.tuples(TEXTS.map(lambda t: t.replace(">", "")), TEXTS, st.sampled_from(["next", "prev"]))
    )
)
def test_what_is_written_by_the_rules_is_read_as_it_was_meant(
    links: list[tuple[str, str, str]],
) -> None:
    def quoted(text: str) -> str:
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

    text = ", ".join(
        f"<{url}>; title={quoted(title)}; rel={quoted(rel)}" for url, title, rel in links
    )
    assert parsed_links(text) == [(url, [rel]) for url, _, rel in links]
