"""The pagination of a table: its styles and their keys."""
# Annotations are not strings here: see model.

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from unify.adapters.spec.formats import DottedPath, HeaderName
from unify.adapters.spec.schema import doc

ZeroOrOne = Annotated[int, Meta(ge=0, le=1)]
Million = Annotated[int, Meta(ge=1, le=1_000_000)]
PagingType = Literal["none", "page", "offset", "cursor", "link_header", "next_url", "auto"]
_PAGE, _OFFSET, _CURSOR, _URL = ("page",), ("offset",), ("cursor",), ("next_url",)
_NUMBERED = ("page", "offset")
_FLAGGED = ("page", "offset", "cursor", "next_url")
_COUNTED = ("page", "offset", "link_header", "cursor", "next_url")
_PAGED = ("page", "offset", "link_header")
_SIZED = ("page", "offset", "cursor", "link_header", "next_url", "auto")


class Paging(Struct, frozen=True):
    """The pagination of a table."""

    type: Annotated[PagingType, doc("Pagination style.", "page")] = "auto"
    page_param: Annotated[str, doc("Parameter for the page number.", "p", types=_PAGE)] = "page"
    first: Annotated[
        ZeroOrOne | None,
        doc("Number of the first page or row.", "0", default="1 (page), 0 (offset)", types=_NUMBERED),
    ] = None
    offset_param: Annotated[str, doc("Parameter for the offset in rows.", "startAt", types=_OFFSET)] = (
        "offset"
    )
    size_param: Annotated[str | None, doc("Parameter for the page size.", "per_page", types=_SIZED)] = None
    size: Annotated[Million | None, doc("Rows per page.", "100", types=_SIZED)] = None
    cursor_param: Annotated[str, doc("Parameter for the cursor.", "after", types=_CURSOR)] = "cursor"
    cursor_path: Annotated[
        DottedPath | None, doc("Path of the next cursor in the body.", "meta.next", types=_CURSOR)
    ] = None
    cursor_column: Annotated[
        DottedPath | None, doc("Path of the next cursor in the last row.", "id", types=_CURSOR)
    ] = None
    cursor_header: Annotated[
        HeaderName | None, doc("Response header with the next cursor.", "X-Next", types=_CURSOR)
    ] = None
    more_path: Annotated[
        DottedPath | None, doc("Path of the flag for more pages.", "has_more", types=_FLAGGED)
    ] = None
    last_path: Annotated[
        DottedPath | None, doc("Path of the flag of the last page.", "is_last", types=_FLAGGED)
    ] = None
    path: Annotated[DottedPath | None, doc("Path of the next page's URL.", "links.next", types=_URL)] = None
    header: Annotated[
        HeaderName | None, doc("Response header with the next page's URL.", "X-Next-Page", types=_URL)
    ] = None
    total_path: Annotated[DottedPath | None, doc("Path of the row count.", "total", types=_COUNTED)] = None
    total_header: Annotated[
        HeaderName | None, doc("Response header with the row count.", "X-Total-Count", types=_COUNTED)
    ] = None
    pages_path: Annotated[DottedPath | None, doc("Path of the page count.", "pages", types=_PAGED)] = None
    until_empty: Annotated[
        bool, doc("Read until a page has no rows, whatever a total says.", "true", types=_NUMBERED)
    ] = False
    short_page: Annotated[
        Literal["ends"] | None,
        doc(
            "`ends`: a page with fewer rows than `size` is the last, and no further page is requested.",
            "ends",
            types=_NUMBERED,
        ),
    ] = None
    first_bare: Annotated[
        bool, doc("Send the first request without page number or offset.", "true", types=_NUMBERED)
    ] = False
    keep: Annotated[
        Literal["address"] | None,
        doc("`address`: use only the query of the next URL.", "address", types=("link_header", "next_url")),
    ] = None
    location: Annotated[
        Literal["query", "body", "path", "header"],
        doc("Where paging parameters are sent; in `body` and `path` they are variables.", "body"),
    ] = field(name="in", default="query")
    max_pages: Annotated[Million | None, doc("Maximum number of pages.", "50")] = None

    @property
    def first_number(self) -> int:
        if self.first is not None:
            return self.first
        return 1 if self.type == "page" else 0
