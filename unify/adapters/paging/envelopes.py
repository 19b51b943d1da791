"""Well-known APIs whose responses do not name the parameters of their pages: how their bodies look."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from unify.adapters.paging.base import ALL_MEMBERS, PageInfo
from unify.adapters.spec.paging import Paging

_ANY = object()  # whatever value the member has

# What the body has (path: value), and how such an API pages. A total is used where the body has it.
ENVELOPES: tuple[tuple[str, Mapping[str, Any], Mapping[str, Any]], ...] = (
    (
        "Notion",
        {"object": "list", "next_cursor": _ANY, "has_more": True},
        {
            "type": "cursor",
            "cursor_path": "next_cursor",
            "cursor_param": "start_cursor",
            "more_path": "has_more",
        },
    ),
    (
        "Stripe",
        {"object": "list", "has_more": True},
        {"type": "cursor", "cursor_column": "id", "cursor_param": "starting_after", "more_path": "has_more"},
    ),
    (
        "Elasticsearch",
        {"hits.total.value": _ANY, "took": _ANY},
        {"type": "offset", "offset_param": "from", "total_path": "hits.total.value"},
    ),
    (
        "Elasticsearch 6",
        {"hits.total": _ANY, "took": _ANY},
        {"type": "offset", "offset_param": "from", "total_path": "hits.total"},
    ),
    (
        "Solr",
        {"response.numFound": _ANY},
        {"type": "offset", "offset_param": "start", "total_path": "response.numFound"},
    ),
    (
        "CKAN",
        {"success": True, "result.count": _ANY},
        {"type": "offset", "offset_param": "start", "total_path": "result.count"},
    ),
    (
        "Mailchimp",
        {"total_items": _ANY, "_links.0.rel": _ANY},
        {"type": "offset", "offset_param": "offset", "total_path": "total_items"},
    ),
    (
        "ActiveCampaign",
        {"meta.total": "", "meta.page": None},
        {"type": "offset", "offset_param": "offset", "total_path": "meta.total"},
    ),
    (
        "ArcGIS",
        {"exceededTransferLimit": True},
        {"type": "offset", "offset_param": "resultOffset", "more_path": "exceededTransferLimit"},
    ),
    (
        "S3 markers",
        {"NextMarker": "", "MaxKeys": _ANY},
        {"type": "cursor", "cursor_path": "NextMarker", "cursor_param": "marker"},
    ),
    (
        "Azure Blob Storage",
        {"NextMarker": "", "Blobs": _ANY},
        {"type": "cursor", "cursor_path": "NextMarker", "cursor_param": "marker"},
    ),
    (
        "MediaWiki",
        {"continue.continue": _ANY},
        {"type": "cursor", "cursor_path": "continue", "cursor_param": ALL_MEMBERS},
    ),
    (
        "Crossref",
        {"message.total-results": _ANY, "message.items-per-page": _ANY},
        {"type": "offset", "offset_param": "offset", "total_path": "message.total-results"},
    ),
    (
        "Scopus",
        {"search-results.opensearch:totalResults": _ANY},
        {"type": "offset", "offset_param": "start", "total_path": "search-results.opensearch:totalResults"},
    ),
    (
        "arXiv",
        {"opensearch_totalResults": _ANY, "opensearch_itemsPerPage": _ANY, "entry": _ANY},
        {"type": "offset", "offset_param": "start", "total_path": "opensearch_totalResults"},
    ),
    (
        "Google Custom Search",
        {"queries.nextPage.0.startIndex": _ANY},
        {"type": "cursor", "cursor_path": "queries.nextPage.0.startIndex", "cursor_param": "start"},
    ),
    (
        "DataTables",
        {"recordsTotal": _ANY, "draw": _ANY},
        {"type": "offset", "offset_param": "start", "total_path": "recordsFiltered"},
    ),
    (
        "Twitch",
        {"pagination.cursor": _ANY},
        {"type": "cursor", "cursor_path": "pagination.cursor", "cursor_param": "after"},
    ),
    (
        "Cloudflare cursors",
        {"result_info.cursors.after": _ANY},
        {"type": "cursor", "cursor_path": "result_info.cursors.after", "cursor_param": "cursor"},
    ),
    (
        "Datadog",
        {"meta.page.after": _ANY},
        {"type": "cursor", "cursor_path": "meta.page.after", "cursor_param": "page[cursor]"},
    ),
    (
        "Zoho",
        {"info.more_records": True, "info.next_page_token": _ANY},
        {
            "type": "cursor",
            "cursor_path": "info.next_page_token",
            "cursor_param": "page_token",
            "more_path": "info.more_records",
        },
    ),
    (
        "Stack Exchange",
        {"has_more": True, "quota_max": _ANY},
        {"type": "page", "first": 1, "more_path": "has_more"},
    ),
    ("ClickUp", {"last_page": False}, {"type": "page", "first": 0, "last_path": "last_page"}),
    (
        "Lever",
        {"hasNext": True, "next": ""},
        {"type": "cursor", "cursor_path": "next", "cursor_param": "offset", "more_path": "hasNext"},
    ),
    (
        "Auth0",
        {"start": 0, "limit": _ANY, "total": _ANY, "length": _ANY},
        {"type": "page", "first": 0, "total_path": "total"},
    ),
    (
        "Magento",
        {"search_criteria.current_page": 1, "total_count": _ANY},
        {
            "type": "page",
            "first": 1,
            "page_param": "searchCriteria[currentPage]",
            "total_path": "total_count",
        },
    ),
    (
        "Strapi",
        {"meta.pagination.page": 1, "meta.pagination.pageCount": _ANY, "meta.pagination.pageSize": _ANY},
        {
            "type": "page",
            "first": 1,
            "page_param": "pagination[page]",
            "pages_path": "meta.pagination.pageCount",
        },
    ),
    (
        "HubSpot contacts",
        {"has-more": True, "vid-offset": _ANY},
        {"type": "cursor", "cursor_path": "vid-offset", "cursor_param": "vidOffset", "more_path": "has-more"},
    ),
    (
        "OData 2 count",
        {"d.__count": _ANY},
        {"type": "offset", "offset_param": "$skip", "total_path": "d.__count"},
    ),
    (
        "Tableau",
        {"pagination.pageNumber": "1", "pagination.totalAvailable": _ANY},
        {"type": "page", "first": 1, "page_param": "pageNumber", "total_path": "pagination.totalAvailable"},
    ),
)


def match_envelope(page_info: PageInfo, base: Paging) -> Paging | None:
    for name, members, settings in ENVELOPES:
        if all(_has_member(page_info.value(path), wanted) for path, wanted in members.items()):
            if name == "Stripe" and page_info.last_value("id") is None:
                continue
            return replace(base, **settings)
    return None


def _has_member(value: Any, wanted: object) -> bool:
    if wanted is None:
        return value is None
    if wanted == "":
        return isinstance(value, str) and value != "" and not is_url(value)
    return value is not None if wanted is _ANY else value == wanted and type(value) is type(wanted)


def is_url(value: Any) -> bool:
    """An address, absolute or relative; a bare ``page=2`` or a cursor is not."""
    if not isinstance(value, str):
        return False
    text = value.strip()
    return text.lower().startswith(("http://", "https://", "/", "?")) or bool(
        re.fullmatch(r"[\w./-]++\?[^\s?=]*+=[^\s?]*+", text)
    )
