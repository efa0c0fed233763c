"""Lists whose pages link to the next one, in the body or in the `Link` header (RFC 8288).

Links are followed on the configured origin only; the last page is the one without a link. One that may be no true
end is asked for once more (`oa_sync.client.paging.silence`).
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from functools import partial

from oa_sync.client.paging.listing import Answer, EmptyPages, Listing, RepeatGuard
from oa_sync.client.paging.onward import Onward
from oa_sync.client.paging.page import Page
from oa_sync.client.paging.silence import LaterPages
from oa_sync.client.wording import printable
from oa_sync.definitions.model import HeaderLinkPaginator, JsonLinkPaginator, SinglePagePaginator
from oa_sync.definitions.paths import select
from oa_sync.errors import InvalidResponseError, RedirectRefusedError

LinkPaginator = JsonLinkPaginator | HeaderLinkPaginator | SinglePagePaginator


async def linked_pages(
    listing: Listing, paginator: LinkPaginator, first: Answer | None, start: Onward | None = None
) -> AsyncGenerator[Page, None]:
    """All pages in order, from `start` on (None: from the first); with `single_page`, the one there is.

    Raises:
        InvalidResponseError: a link or a page comes twice, or the link is not text.
        RedirectRefusedError: a link leaves the configured origin.
    """
    guard, empty = RepeatGuard(), EmptyPages()
    followed: set[str] = set()
    number, size, seen = 1, 0, start.rows if start is not None else 0
    if start is not None:
        answer = await listing.read_link(str(start.at), "page 1")
    else:
        answer = first or await listing.read({}, "page 1")
    later = LaterPages(paginator, lambda one: _next_link(one, paginator) is not None, seen)
    while True:
        later.note(answer)
        guard.check(answer, None, "the API may not take its own links")
        size = max(size, len(answer.rows))
        seen += len(answer.rows)
        link = _next_link(answer, paginator)
        yield Page(
            number=number,
            rows=answer.rows,
            total=None,
            is_last=link is None,
            size=size,
            rows_path=answer.rows_path,
            response=answer.response,
            onward=_onward(listing, answer, paginator, link, seen, size),
        )
        if link is None:
            return
        empty.note(answer, goes_on=True)
        url = listing.client.resolve(answer.response, link)
        if url in followed or url == answer.response.url:
            raise InvalidResponseError(
                f"{answer.what}: it links to a page that was read before; tell the vendor"
            )
        followed.add(url)
        number += 1
        read = partial(listing.read_link, url, f"page {number}")
        answer = await later.settled(read(), read)


def _onward(
    listing: Listing,
    answer: Answer,
    paginator: LinkPaginator,
    link: str | None,
    rows: int,
    size: int,
) -> Onward | None:
    if link is None:
        return None
    try:
        return Onward(paginator, listing.client.resolve(answer.response, link), rows, size)
    except RedirectRefusedError:
        return None  # raised when it is followed


_LINK = re.compile(r"[\s,]*<([^>]*)>\s*")
_PARAMETER = re.compile(
    r"""
    ;\s* (?: (?P<name>[^\s=;,"<>]+)
        (?: \s*=\s* (?: "(?P<quoted>(?:[^"\\]|\\.)*)" | '(?P<single>[^']*)' | (?P<plain>[^\s;,"]*) ) )?
    )? \s*
""",
    re.VERBOSE | re.DOTALL,
)


def header_link(answer: Answer, relation: str, header: str = "link") -> str | None:
    """The URL with this relation in a header of `answer` in the form of `Link` (RFC 8288): names and relations in
    any case, perhaps several relations in one. A header of another name may be the URL itself.

    Raises:
        InvalidResponseError: the header is there and has another form, so that it may hold the relation.
    """
    text = answer.response.headers.get(header.lower(), "").strip()
    if header.lower() != "link" and not text.startswith("<"):
        return text or None
    links = parsed_links(text)
    if links is None:
        raise InvalidResponseError(
            f'{answer.what}: the header {header} is not in the form of RFC 8288 (`<url>; rel="next"`), so whether'
            f" there is a next page is not known: {printable(text, 80)}. Tell the vendor; or declare another paginator,"
            " or single_page if this is the whole list"
        )
    return next((url for url, relations in links if relation.lower() in relations), None)


def parsed_links(text: str) -> list[tuple[str, list[str]]] | None:
    """The URLs in the value of a `Link` header and their relations in lower case; None: it is not in that form.

    By RFC 8288, section 3: a second `rel` of one link is ignored, and inside quotes `\\` escapes. Beyond it, values
    may stand in single quotes, as some servers write them.
    """
    links: list[tuple[str, list[str]]] = []
    position = 0
    while text[position:].strip(" \t,"):
        link = _LINK.match(text, position)
        if link is None:
            return None
        position, relations = link.end(), None
        while (found := _PARAMETER.match(text, position)) is not None:
            position = found.end()
            if (found["name"] or "").lower() == "rel" and relations is None:
                quoted = re.sub(r"\\(.)", r"\1", found["quoted"] or "")
                relations = (quoted or found["single"] or found["plain"] or "").lower().split()
        if text[position : position + 1] not in ("", ","):
            return None
        links.append((link[1], relations or []))
    return links


def is_list_of_links(value: object) -> bool:
    """Whether `value` is a list of links: objects with `rel` and `href` (or `url`). An empty one has none."""
    return isinstance(value, list) and all(isinstance(one, dict) and "rel" in one for one in value)


def listed_link(links: object, relation: str = "next") -> object:
    """What stands for the URL with this relation in a list of links; None: it is not there."""
    for link in links if isinstance(links, list) else ():
        if isinstance(link, dict) and str(link.get("rel", "")).lower() == relation:
            return link.get("href") or link.get("url")
    return None


def _next_link(answer: Answer, paginator: LinkPaginator) -> str | None:
    match paginator:
        case SinglePagePaginator():
            return None
        case HeaderLinkPaginator(links_next_key=relation, header=header):
            return header_link(answer, relation, header)
        case JsonLinkPaginator(next_url_path=path):
            link = select(answer.document, path, None)
            if is_list_of_links(link):
                link = listed_link(link)
    if link is None or link == "" or link is False:
        return None
    if isinstance(link, str):
        return link
    raise InvalidResponseError(
        f"{answer.what}: next_url_path {path!r} does not find text; set it to where the next URL"
        " stands"
    )
