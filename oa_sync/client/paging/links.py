"""Lists whose pages link to the next one, in the body or in the `Link` header (RFC 8288).

Links are followed on the configured origin only; the last page is the one without a link. One that may be no true
end is asked for once more (`oa_sync.client.paging.silence`).
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from functools import partial

from oa_sync.client.paging.listing import Answer, Listing, RepeatGuard
from oa_sync.client.paging.onward import Onward
from oa_sync.client.paging.page import Page
from oa_sync.client.paging.silence import LaterPages
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
    guard = RepeatGuard()
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


_LINK = re.compile(r"<([^>]*)>((?:[^,\"<]|\"[^\"]*\")*)")
_REL = re.compile(r";\s*rel\s*=\s*(?:\"([^\"]*)\"|([^\s;,]+))", re.IGNORECASE)


def header_link(answer: Answer, relation: str, header: str = "link") -> str | None:
    """The URL with this relation in a header of `answer` in the form of `Link` (RFC 8288): names and relations in
    any case, perhaps several relations in one. A header of another name may be the URL itself."""
    text = answer.response.headers.get(header.lower(), "").strip()
    if header.lower() != "link" and not text.startswith("<"):
        return text or None
    for url, parameters in _LINK.findall(text):
        found = _REL.search(parameters)
        relations = (found[1] or found[2] or "").lower().split() if found else []
        if relation.lower() in relations:
            return str(url)
    return None


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
