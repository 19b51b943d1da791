"""Response envelopes of public APIs as data: three pages of two rows each, and the requests they lead to.

A body is a template. ``ROWS`` stands for the rows of the page, ``P(a, b, c)`` for a value that differs from page
to page, ``ABSENT`` for a member that a page leaves out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.support.fault_server import MockResponse, RecordedRequest
from unify.adapters.spec.paging import Paging

ROWS = "@ROWS"
ABSENT = object()
PAGES = 3
ROWS_A_PAGE = 2
HOST = "http://api.example"  # of links; replaced by the address of the server


class P:
    """A value for each page."""

    def __init__(self, *values: Any) -> None:
        self.values = values


@dataclass(frozen=True)
class Envelope:
    """``requests`` are the parameters, or the path with its query, of the second and third page."""

    name: str
    body: Any
    requests: Sequence[Mapping[str, Any] | str]
    headers: Mapping[str, Any] = field(default_factory=dict)
    paging: Paging = Paging()  # noqa: RUF009
    location: str = "query"
    table: Mapping[str, Any] = field(default_factory=dict)
    make_row: Any = None

    def rows(self, page: int) -> list[Any]:
        made = [{"id": f"r{page * ROWS_A_PAGE + row}", "n": row} for row in range(ROWS_A_PAGE)]
        return [self.make_row(row) for row in made] if self.make_row else made

    def response(self, page: int, host: str = HOST) -> MockResponse:
        """The response of a page; pages behind the last are like the last, without rows."""
        rows = self.rows(page) if page < PAGES else []
        body = _fill(self.body, min(page, PAGES - 1), rows)
        headers = _fill(dict(self.headers), min(page, PAGES - 1), rows)
        text = json.dumps(body).replace(HOST, host)
        answer = MockResponse(body=text.encode(), headers={"Content-Type": "application/json"})
        return answer.with_headers(
            **{name: str(value).replace(HOST, host) for name, value in headers.items() if value is not None}
        )

    def page_of(self, request: RecordedRequest) -> int:
        """Return the page that a request selects; the first one without parameters of paging."""
        sent = _sent_values(request, self.location)
        for index, wanted in enumerate(self.requests, start=1):
            if isinstance(wanted, str):
                parts = urlsplit(wanted)
                if (
                    request.path == parts.path
                    and dict(parse_qsl(parts.query)).items() <= request.query.items()
                ):
                    return index
            elif all(str(sent.get(name)) == str(value) for name, value in wanted.items()):
                return index
        names = {name for each in self.requests if not isinstance(each, str) for name in each}
        return PAGES if any(str(sent.get(name, "0")) not in ("0", "1") for name in names) else 0


def _sent_values(request: RecordedRequest, location: str) -> Mapping[str, Any]:
    if location == "header":
        return {name.title(): value for name, value in request.headers.items()}
    if location == "body":
        return _flatten(request.json(), "")
    return request.query


def _flatten(value: Any, prefix: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        return {prefix: value}
    return {
        name: item
        for key, inner in value.items()
        for name, item in _flatten(inner, f"{prefix}.{key}" if prefix else key).items()
    }


def _fill(template: Any, page: int, rows: list[Any]) -> Any:
    match template:
        case P(values=values):
            return _fill(values[page], page, rows)
        case dict():
            filled = {name: _fill(value, page, rows) for name, value in template.items()}
            return {name: value for name, value in filled.items() if value is not ABSENT}
        case list():
            return [each for item in template if (each := _fill(item, page, rows)) is not ABSENT]
        case "@ROWS":
            return rows
        case _:
            return template


def _next(*urls: Any) -> P:
    return P(f"{HOST}/things?p=2", f"{HOST}/things?p=3", *(urls or (None,)))


_LINKS = ["/things?p=2", "/things?p=3"]
_PAGES = [{"page": 2}, {"page": 3}]
_OFFSETS = [{"offset": 2}, {"offset": 4}]
_CURSORS = ("c2", "c3")


def _by(name: str) -> list[dict[str, str]]:
    return [{name: "c2"}, {name: "c3"}]


def _cursor(last: Any = ABSENT) -> P:
    return P("c2", "c3", last)


ENVELOPES = [
    # links in the body
    Envelope("Django REST framework", {"count": 6, "next": _next(), "previous": None, "results": ROWS}, _LINKS),
    Envelope("JSON:API", {"data": ROWS, "links": {"self": "/things", "next": _next(ABSENT)}, "meta": {"total": 6}}, _LINKS),
    Envelope("JSON:API link objects", {"data": ROWS, "links": {"next": P({"href": "/things?p=2"}, {"href": "/things?p=3"}, None)}, "included": [{"id": 1}]}, _LINKS),
    Envelope("HAL", {"_embedded": {"things": ROWS}, "_links": {"self": {"href": "/x"}, "next": P({"href": "/things?p=2"}, {"href": "/things?p=3"}, ABSENT)}}, _LINKS),
    Envelope("OData 4", {"@odata.context": "$metadata#Things", "value": ROWS, "@odata.nextLink": _next(ABSENT)}, _LINKS),
    Envelope("OData 4 nested", {"data": ROWS, "meta": {"@odata.nextLink": _next(ABSENT)}}, _LINKS),
    Envelope("OData 3", {"odata.metadata": "m", "value": ROWS, "odata.nextLink": _next(ABSENT)}, _LINKS),
    Envelope("OData 2", {"d": {"results": ROWS, "__next": _next(ABSENT)}}, _LINKS),
    Envelope("SensorThings", {"@iot.count": 6, "@iot.nextLink": _next(ABSENT), "value": ROWS}, _LINKS),
    Envelope("Salesforce", {"totalSize": 6, "done": P(False, False, True), "nextRecordsUrl": P("/things?p=2", "/things?p=3", ABSENT), "records": ROWS}, _LINKS),
    Envelope("FHIR", {"resourceType": "Bundle", "total": 6, "entry": ROWS, "link": P([{"relation": "self", "url": "/things"}, {"relation": "next", "url": "/things?p=2"}], [{"relation": "next", "url": "/things?p=3"}], [{"relation": "self", "url": "/things"}])}, _LINKS),
    Envelope("PayPal", {"transaction_details": ROWS, "total_items": 6, "total_pages": 3, "links": P([{"href": "/things?p=2", "rel": "next", "method": "GET"}], [{"href": "/things?p=3", "rel": "next", "method": "GET"}], [{"href": "/things", "rel": "self"}])}, _LINKS),
    Envelope("Siren", {"class": ["things"], "entities": ROWS, "links": P([{"rel": ["next"], "href": "/things?p=2"}], [{"rel": ["next"], "href": "/things?p=3"}], [])}, _LINKS),
    Envelope("NetSuite", {"links": P([{"rel": "next", "href": "/things?p=2"}], [{"rel": "next", "href": "/things?p=3"}], []), "count": 2, "hasMore": P(True, True, False), "items": ROWS, "offset": 0, "totalResults": 6}, _LINKS),
    Envelope("Front", {"_pagination": {"next": _next()}, "_links": {"self": "s"}, "_results": ROWS}, _LINKS),
    Envelope("Discourse", {"users": [{"id": 9}], "topic_list": {"can_create_topic": False, "more_topics_url": P("/things?p=2", "/things?p=3", ABSENT), "per_page": 2, "topics": ROWS}}, _LINKS, table={"rows": "topic_list.topics"}),
    Envelope("Zendesk", {"tickets": ROWS, "next_page": _next(), "previous_page": None, "count": 6}, _LINKS),
    Envelope("Zendesk cursors", {"tickets": ROWS, "meta": {"has_more": P(True, True, False), "after_cursor": "x"}, "links": {"next": P(f"{HOST}/things?p=2", f"{HOST}/things?p=3", f"{HOST}/things?p=4")}}, _LINKS),
    Envelope("Twilio", {"next_page_uri": P("/things?p=2", "/things?p=3", None), "page": 0, "page_size": 2, "messages": ROWS}, _LINKS),
    Envelope("Facebook", {"data": ROWS, "paging": {"cursors": {"before": "b", "after": "a"}, "next": _next(ABSENT)}}, _LINKS),
    Envelope("Spotify", {"href": "/things", "items": ROWS, "limit": 2, "next": _next(), "offset": P(0, 2, 4), "previous": None, "total": 6}, _LINKS),
    Envelope("Bitbucket", {"pagelen": 2, "values": ROWS, "page": P(1, 2, 3), "size": 6, "next": _next(ABSENT)}, _LINKS),
    Envelope("Confluence", {"results": ROWS, "start": 0, "limit": 2, "size": 2, "_links": {"base": "https://c.example", "next": P("/things?p=2", "/things?p=3", ABSENT)}}, _LINKS),
    Envelope("Laravel", {"current_page": P(1, 2, 3), "data": ROWS, "last_page": 3, "next_page_url": _next(), "per_page": 2, "total": 6}, _LINKS),
    Envelope("Rick and Morty", {"info": {"count": 6, "pages": 3, "next": _next(), "prev": None}, "results": ROWS}, _LINKS),
    Envelope("Hydra", {"hydra:member": ROWS, "hydra:totalItems": 6, "hydra:view": {"@id": "/x", "hydra:next": P("/things?p=2", "/things?p=3", ABSENT)}}, _LINKS),
    Envelope("Vimeo", {"total": 6, "page": 1, "per_page": 2, "paging": {"next": P("/things?p=2", "/things?p=3", None), "previous": None}, "data": ROWS}, _LINKS),
    Envelope("Asana", {"data": ROWS, "next_page": P({"offset": "o2", "path": "/things?p=2", "uri": f"{HOST}/things?p=2"}, {"offset": "o3", "path": "/things?p=3", "uri": f"{HOST}/things?p=3"}, None)}, _LINKS),
    Envelope("Iterable", {"items": ROWS, "nextPageUrl": _next(ABSENT)}, _LINKS),
    Envelope("SendGrid", {"result": ROWS, "_metadata": {"self": "/s", "next": _next(ABSENT), "count": 6}}, _LINKS),
    Envelope("Discogs", {"pagination": {"page": 1, "pages": 3, "per_page": 2, "items": 6, "urls": P({"next": f"{HOST}/things?p=2"}, {"next": f"{HOST}/things?p=3"}, {})}, "releases": ROWS}, _LINKS),
    Envelope("a relative query", {"paging": {"next_link": P("?p=2", "?p=3", "")}, "list": ROWS}, _LINKS),
    Envelope("several levels deep", {"envelope": {"response": {"paging": {"nextLink": P("/things?p=2", "/things?p=3", None)}, "records": ROWS}}}, _LINKS),
    # headers
    Envelope("RFC 8288", ROWS, _LINKS, {"Link": P('</things?p=2>; rel="next"', "</things?p=3>; rel=next", '</things>; rel="first"')}),
    Envelope("Next-Page address", ROWS, _LINKS, {"Next-Page": _next(None)}),
    Envelope("X-Next-Page number", ROWS, _PAGES, {"X-Next-Page": P(2, 3, None), "X-Total": 6}),
    Envelope("X-Next-Cursor", ROWS, _by("cursor"), {"X-Next-Cursor": _cursor(None)}),
    Envelope("Azure DevOps", {"count": 2, "value": ROWS}, _by("continuationToken"), {"x-ms-continuationtoken": _cursor(None)}),
    Envelope("Heroku", ROWS, [{"Range": "id ]r1.."}, {"Range": "id ]r3.."}], {"Next-Range": P("id ]r1..", "id ]r3..", None), "Accept-Ranges": "id"}, location="header"),
    Envelope("X-Page of X-Total-Pages", ROWS, _PAGES, {"X-Page": P(1, 2, 3), "X-Total-Pages": 3, "X-Per-Page": 2}),
    Envelope("X-Pagination in JSON", ROWS, _PAGES, {"X-Pagination": P(*(json.dumps({"TotalCount": 6, "PageSize": 2, "CurrentPage": n, "TotalPages": 3}) for n in (1, 2, 3)))}),
    # cursors
    Envelope("Slack", {"ok": True, "members": ROWS, "response_metadata": {"next_cursor": _cursor("")}}, _by("cursor")),
    Envelope("Google", {"kind": "list", "items": ROWS, "nextPageToken": _cursor()}, _by("pageToken")),
    Envelope("Google AIP", {"things": ROWS, "next_page_token": _cursor("")}, _by("page_token")),
    Envelope("Kubernetes", {"kind": "PodList", "metadata": {"resourceVersion": "7", "continue": _cursor(""), "remainingItemCount": P(4, 2, ABSENT)}, "items": ROWS}, _by("continue")),
    Envelope("AWS NextToken", {"Things": ROWS, "NextToken": _cursor(None)}, _by("NextToken")),
    Envelope("AWS nextToken", {"things": ROWS, "nextToken": _cursor()}, _by("nextToken")),
    Envelope("AWS NextMarker", {"Things": ROWS, "IsTruncated": P(True, True, False), "NextMarker": _cursor()}, _by("Marker")),
    Envelope("AWS Marker", {"Users": ROWS, "IsTruncated": P(True, True, False), "Marker": _cursor()}, _by("Marker")),
    Envelope("S3", {"ListBucketResult": {"IsTruncated": P("true", "true", "false"), "NextContinuationToken": _cursor(), "Contents": ROWS, "KeyCount": "2", "MaxKeys": "2"}}, _by("continuation-token"), table={"rows": "ListBucketResult.Contents"}),
    Envelope("HubSpot", {"results": ROWS, "paging": P({"next": {"after": "c2", "link": "https://api.hubapi.com/x?after=c2"}}, {"next": {"after": "c3"}}, ABSENT)}, _by("after"), table={"paging": Paging("cursor", cursor_path="paging.next.after", cursor_param="after")}),
    Envelope("HubSpot without links", {"results": ROWS, "paging": P({"next": {"after": "c2"}}, {"next": {"after": "c3"}}, ABSENT)}, _by("after")),
    Envelope("HubSpot contacts", {"contacts": ROWS, "has-more": P(True, True, False), "vid-offset": P(2, 4, 6)}, [{"vidOffset": 2}, {"vidOffset": 4}]),
    Envelope("Notion", {"object": "list", "results": ROWS, "next_cursor": _cursor(None), "has_more": P(True, True, False), "type": "page"}, _by("start_cursor")),
    Envelope("Stripe", {"object": "list", "url": "/v1/things", "has_more": P(True, True, False), "data": ROWS}, [{"starting_after": "r1"}, {"starting_after": "r3"}]),
    Envelope("Reddit", {"kind": "Listing", "data": {"after": _cursor(None), "before": None, "dist": 2, "modhash": "", "children": ROWS}}, _by("after")),
    Envelope("Lark", {"code": 0, "msg": "success", "data": {"items": ROWS, "has_more": P(True, True, False), "page_token": _cursor("")}}, _by("page_token")),
    Envelope("Twitch", {"data": ROWS, "pagination": P({"cursor": "c2"}, {"cursor": "c3"}, {})}, _by("after")),
    Envelope("Cloudflare cursors", {"success": True, "errors": [], "result": ROWS, "result_info": {"count": 2, "cursors": {"after": _cursor("")}}}, _by("cursor")),
    Envelope("Airtable", {"records": ROWS, "offset": P("itr2", "itr3", ABSENT)}, [{"offset": "itr2"}, {"offset": "itr3"}]),
    Envelope("SmartRecruiters", {"content": ROWS, "nextPageId": _cursor(""), "limit": 2, "totalFound": 6}, _by("pageId")),
    Envelope("Intercom", {"type": "list", "data": ROWS, "total_count": 6, "pages": {"type": "pages", "page": 1, "per_page": 2, "total_pages": 3, "next": P({"page": 2, "starting_after": "c2"}, {"page": 3, "starting_after": "c3"}, ABSENT)}}, _by("starting_after")),
    Envelope("Datadog", {"data": ROWS, "meta": {"page": P({"after": "c2"}, {"after": "c3"}, {})}}, _by("page[cursor]")),
    Envelope("Square", {"payments": ROWS, "cursor": _cursor()}, _by("cursor")),
    Envelope("Box markers", {"entries": ROWS, "limit": 2, "next_marker": _cursor("")}, _by("marker")),
    Envelope("Lever", {"data": ROWS, "hasNext": P(True, True, False), "next": _cursor()}, _by("offset")),
    Envelope("Chargebee", {"list": ROWS, "next_offset": P('["1","2"]', '["3","4"]', ABSENT)}, [{"offset": '["1","2"]'}, {"offset": '["3","4"]'}]),
    Envelope("X", {"data": ROWS, "meta": {"result_count": 2, "newest_id": "9", "oldest_id": "1", "next_token": _cursor()}}, _by("next_token")),
    Envelope("Zoho", {"data": ROWS, "info": {"per_page": 2, "count": 2, "page": P(1, 2, 3), "more_records": P(True, True, False), "next_page_token": _cursor(None)}}, _by("page_token")),
    Envelope("MediaWiki", {"batchcomplete": "", "continue": P({"cmcontinue": "c2", "continue": "-||"}, {"cmcontinue": "c3", "continue": "-||"}, ABSENT), "query": {"categorymembers": ROWS}}, [{"cmcontinue": "c2", "continue": "-||"}, {"cmcontinue": "c3", "continue": "-||"}], table={"rows": "query.categorymembers"}),
    Envelope("Europe PMC", {"hitCount": 6, "nextCursorMark": _cursor(), "resultList": {"result": ROWS}}, _by("cursorMark"), table={"rows": "resultList.result"}),
    Envelope("Google Custom Search", {"queries": P({"request": [{"totalResults": "6", "startIndex": 1}], "nextPage": [{"startIndex": 3, "count": 2}]}, {"nextPage": [{"startIndex": 5, "count": 2}]}, {"request": []}), "items": ROWS}, [{"start": 3}, {"start": 5}]),
    Envelope("Pipedrive", {"success": True, "data": ROWS, "additional_data": {"pagination": {"start": P(0, 2, 4), "limit": 2, "more_items_in_collection": P(True, True, False), "next_start": P(2, 4, ABSENT)}}}, [{"start": 2}, {"start": 4}]),
    Envelope("Jira search", {"issues": ROWS, "nextPageToken": _cursor(), "isLast": P(False, False, True)}, _by("nextPageToken"), paging=Paging(cursor_param="nextPageToken")),
    Envelope("GraphQL", {"data": {"things": {"nodes": ROWS, "pageInfo": {"hasNextPage": P(True, True, False), "endCursor": P("c2", "c3", "c4")}}}}, _by("variables.after"), location="body", table={"method": "POST", "body": {"query": "query ($after: String) { things(after: $after) { nodes { id } } }"}}),
    Envelope("a POST search", {"results": ROWS, "next_cursor": _cursor(None)}, _by("cursor"), location="body", table={"method": "POST", "body": {"filter": {"a": 1}}}),
    # page numbers
    Envelope("next page as a number", {"page": P(1, 2, 3), "next_page": P(2, 3, None), "items": ROWS}, _PAGES),
    Envelope("Kaminari", {"things": ROWS, "meta": {"current_page": P(1, 2, 3), "next_page": P(2, 3, None), "total_pages": 3}}, _PAGES),
    Envelope("Cloudflare", {"success": True, "errors": [], "result": ROWS, "result_info": {"page": P(1, 2, 3), "per_page": 2, "total_pages": 3, "count": 2, "total_count": 6}}, _PAGES),
    Envelope("Spring", {"content": ROWS, "totalElements": 6, "totalPages": 3, "number": P(0, 1, 2), "size": 2, "last": P(False, False, True), "first": P(True, False, False)}, [{"page": 1}, {"page": 2}]),
    Envelope("Algolia", {"hits": ROWS, "nbHits": 6, "page": P(0, 1, 2), "nbPages": 3, "hitsPerPage": 2}, [{"page": 1}, {"page": 2}]),
    Envelope("TMDB", {"page": P(1, 2, 3), "results": ROWS, "total_pages": 3, "total_results": 6}, _PAGES),
    Envelope("Last.fm", {"topartists": {"artist": ROWS, "@attr": {"page": P("1", "2", "3"), "perPage": "2", "totalPages": "3", "total": "6"}}}, _PAGES, table={"rows": "topartists.artist"}),
    Envelope("Zoom", {"page_count": 3, "page_number": P(1, 2, 3), "page_size": 2, "total_records": 6, "users": ROWS}, [{"page_number": 2}, {"page_number": 3}]),
    Envelope("Tableau", {"pagination": {"pageNumber": P("1", "2", "3"), "pageSize": "2", "totalAvailable": "6"}, "users": {"user": ROWS}}, [{"pageNumber": 2}, {"pageNumber": 3}], table={"rows": "users.user"}),
    Envelope("Stack Exchange", {"items": ROWS, "has_more": P(True, True, False), "quota_max": 300, "quota_remaining": 200}, _PAGES),
    Envelope("ClickUp", {"tasks": ROWS, "last_page": P(False, False, True)}, [{"page": 1}, {"page": 2}]),
    Envelope("Strapi", {"data": ROWS, "meta": {"pagination": {"page": P(1, 2, 3), "pageSize": 2, "pageCount": 3, "total": 6}}}, [{"pagination[page]": 2}, {"pagination[page]": 3}]),
    Envelope("Magento", {"items": ROWS, "search_criteria": {"filter_groups": [], "page_size": 2, "current_page": P(1, 2, 3)}, "total_count": 6}, [{"searchCriteria[currentPage]": 2}, {"searchCriteria[currentPage]": 3}]),
    Envelope("Auth0", {"start": P(0, 2, 4), "limit": 2, "length": 2, "total": 6, "users": ROWS}, [{"page": 1}, {"page": 2}]),
    Envelope("Mongoose", {"docs": ROWS, "totalDocs": 6, "limit": 2, "page": P(1, 2, 3), "totalPages": 3, "hasNextPage": P(True, True, False), "nextPage": P(2, 3, None)}, _PAGES),
    Envelope("a page and its size", {"page": P(1, 2, 3), "per_page": 2, "items": ROWS}, _PAGES),
    # offsets
    Envelope("Jira", {"startAt": P(0, 2, 4), "maxResults": 2, "total": 6, "values": ROWS}, [{"startAt": 2}, {"startAt": 4}]),
    Envelope("Elasticsearch", {"took": 3, "timed_out": False, "_shards": {"total": 5, "successful": 5}, "hits": {"total": {"value": 6, "relation": "eq"}, "max_score": 1.0, "hits": ROWS}}, [{"from": 2}, {"from": 4}], table={"rows": "hits.hits"}),
    Envelope("Elasticsearch 6", {"took": 3, "_shards": {"total": 5}, "hits": {"total": 6, "hits": ROWS}}, [{"from": 2}, {"from": 4}], table={"rows": "hits.hits"}),
    Envelope("Solr", {"responseHeader": {"status": 0, "QTime": 1}, "response": {"numFound": 6, "start": P(0, 2, 4), "docs": ROWS}}, [{"start": 2}, {"start": 4}], table={"rows": "response.docs"}),
    Envelope("CKAN", {"help": "h", "success": True, "result": {"count": 6, "results": ROWS, "facets": {}}}, [{"start": 2}, {"start": 4}], table={"rows": "result.results"}),
    Envelope("Mailchimp", {"lists": ROWS, "total_items": 6, "constraints": {"may_create": True}, "_links": [{"rel": "self", "href": "https://us1.api.mailchimp.com/3.0/lists", "method": "GET"}]}, _OFFSETS),
    Envelope("ActiveCampaign", {"contacts": ROWS, "scoreValues": [], "meta": {"total": "6", "page_input": {"limit": 2}}}, _OFFSETS),
    Envelope("ArcGIS", {"objectIdFieldName": "OBJECTID", "fields": [{"name": "id", "type": "int"}] * 3, "features": ROWS, "exceededTransferLimit": P(True, True, ABSENT)}, [{"resultOffset": 2}, {"resultOffset": 4}]),
    Envelope("Crossref", {"status": "ok", "message-type": "work-list", "message": {"total-results": 6, "items-per-page": 2, "query": {"start-index": 0}, "items": ROWS}}, _OFFSETS, table={"rows": "message.items"}),
    Envelope("Scopus", {"search-results": {"opensearch:totalResults": "6", "opensearch:startIndex": P("0", "2", "4"), "opensearch:itemsPerPage": "2", "entry": ROWS}}, [{"start": 2}, {"start": 4}], table={"rows": "search-results.entry"}),
    Envelope("SCIM", {"schemas": ["urn"], "totalResults": 6, "startIndex": P(1, 3, 5), "itemsPerPage": 2, "Resources": ROWS}, [{"startIndex": 3}, {"startIndex": 5}]),
    Envelope("NVD", {"resultsPerPage": 2, "startIndex": P(0, 2, 4), "totalResults": 6, "vulnerabilities": ROWS}, [{"startIndex": 2}, {"startIndex": 4}]),
    Envelope("PubMed", {"header": {"type": "esearch"}, "esearchresult": {"count": "6", "retmax": "2", "retstart": P("0", "2", "4"), "idlist": ROWS}}, [{"retstart": 2}, {"retstart": 4}], table={"rows": "esearchresult.idlist"}),
    Envelope("openFDA", {"meta": {"results": {"skip": P(0, 2, 4), "limit": 2, "total": 6}}, "results": ROWS}, [{"skip": 2}, {"skip": 4}]),
    Envelope("GBIF", {"offset": P(0, 2, 4), "limit": 2, "endOfRecords": P(False, False, True), "count": 6, "results": ROWS}, _OFFSETS),
    Envelope("PagerDuty", {"incidents": ROWS, "limit": 2, "offset": P(0, 2, 4), "more": P(True, True, False), "total": None}, _OFFSETS),
    Envelope("Box offsets", {"total_count": 6, "entries": ROWS, "offset": P(0, 2, 4), "limit": 2}, _OFFSETS),
    Envelope("Contentful", {"sys": {"type": "Array"}, "total": 6, "skip": P(0, 2, 4), "limit": 2, "items": ROWS}, [{"skip": 2}, {"skip": 4}]),
    Envelope("DataTables", {"draw": 1, "recordsTotal": 60, "recordsFiltered": 6, "data": ROWS}, [{"start": 2}, {"start": 4}]),
    Envelope("Spoonacular", {"results": ROWS, "offset": P(0, 2, 4), "number": 2, "totalResults": 6}, _OFFSETS),
    Envelope("an offset without a total", {"offset": P(0, 2, 4), "limit": 2, "items": ROWS}, _OFFSETS),
    Envelope("a full page of the size requested", {"items": ROWS}, _PAGES, paging=Paging(size_param="per_page", size=2)),
]  # fmt: skip

# One page is the whole: what looks like a hint and is none.
COMPLETE = [
    {"items": ROWS},
    {"items": ROWS, "total": 2},
    {"items": ROWS, "count": 2, "next": None},
    {"items": ROWS, "total": 2, "limit": 2},
    {"items": ROWS, "next": "", "previous": ""},
    {"items": ROWS, "_links": {"self": {"href": "/x"}, "next": {"href": None}}},
    {"items": ROWS, "links": {"self": "/x", "first": "/x", "last": "/x", "prev": None}},
    {"items": ROWS, "page": 1, "pages": 1, "per_page": 2},
    {"items": ROWS, "page": 1, "total_pages": 1, "total": 2, "limit": 2},
    {"items": ROWS, "has_more": False, "next_cursor": "c9"},
    {"items": ROWS, "hasMore": "false", "limit": 2},
    {"items": ROWS, "isLast": True, "nextPageToken": ""},
    {"items": ROWS, "done": True, "totalSize": 2},
    {"items": ROWS, "incomplete_results": False, "total_count": 2},
    {"items": ROWS, "nextSyncToken": "later"},
    {"items": ROWS, "@odata.deltaLink": "https://api/delta?token=1"},
    {"items": ROWS, "next_billing_date": "2026-03-01"},
    {"items": ROWS, "rate_limit": {"limit": 2, "remaining": 58, "total": 60}},
    {"items": ROWS, "_shards": {"total": 5, "successful": 5}, "took": 1},
    {"items": ROWS, "user": {"id": 1, "followers_count": 300, "token": "secret"}},
    {"items": ROWS, "errors": [], "warnings": [{"message": "old"}]},
    {"items": ROWS, "facets": {"state": {"count": 7, "total": 9}}},
    {"items": ROWS, "more_info": "https://docs.example/more"},
    {"items": ROWS, "total_amount": 5000, "currency": "EUR"},
    {"items": ROWS, "version": 3, "status": "ok", "request_id": "7", "took_ms": 14},
    {"items": ROWS, "page_title": "Things", "page_url": "https://x.example/things"},
    {"items": ROWS, "users": [{"id": 1, "next_token": "t", "has_more": True}]},
    {"items": ROWS, "pageInfo": {"hasNextPage": False, "endCursor": "c9", "hasPreviousPage": True}},
    {"items": ROWS, "cursor": {"before": "b", "after": None, "hasNext": False}},
    {"items": ROWS, "paging": {"next": None, "total": 2}},
    {"items": ROWS, "session": {"access_token": "x", "expires_in": 3600}},
    {"title": "a book", "pages": 120, "items": ROWS},
    [{"id": 1, "next": "https://api/x", "has_more": True, "token": "t", "total": 9}, {"id": 2}],
    {"id": 7, "name": "one row", "next": "x", "total": 8, "token": "t"},
]

# More pages, and no way on that is known: the load fails and names the member.
UNKNOWN = [
    ({"items": ROWS, "has_more": True}, "has_more: true"),
    ({"items": ROWS, "hasMore": "true"}, "hasMore: true"),
    ({"items": ROWS, "total": 6}, "total: 6"),
    ({"items": ROWS, "total": "6"}, "total: 6"),
    ({"items": ROWS, "meta": {"total_count": 6}}, "meta.total_count: 6"),
    ({"items": ROWS, "summary": {"found": 6}}, "summary.found: 6"),
    ({"items": ROWS, "total_items_count": 6}, "total_items_count: 6"),
    ({"items": ROWS, "total_pages": 3}, "total_pages: 3"),
    ({"items": ROWS, "pagination": {"pages": 3}}, "pagination.pages: 3"),
    ({"items": ROWS, "isLast": False}, "isLast: false"),
    ({"items": ROWS, "complete": False}, "complete: false"),
    ({"items": ROWS, "complete": "0", "is_complete": "false"}, "is_complete: false"),
    ({"items": ROWS, "done": False}, "done: false"),
    ({"items": ROWS, "exceededLimit": True}, "exceededLimit: true"),
    ({"items": ROWS, "truncated": True}, "truncated: true"),
    ({"items": ROWS, "next": "eyJpZCI6N30"}, "next: eyJpZCI6N30"),
    ({"items": ROWS, "next_records_link": "x"}, "next_records_link: x"),
    ({"items": ROWS, "nextRecords": {"at": "elsewhere"}}, "nextRecords.at: elsewhere"),
    ({"items": ROWS, "meta": {"a": {"b": {"next_page_marker": "m"}}}}, "meta.a.b.next_page_marker: m"),
    ({"data": {"list": ROWS, "moreDataUrlToken": "q7"}}, "data.moreDataUrlToken: q7"),
    ({"items": ROWS, "per_page": 2}, "per_page: 2"),
    ({"items": ROWS, "hitsPerPage": "2"}, "hitsPerPage: 2"),
    ({"items": ROWS, "paging": {"limit": 2}}, "paging.limit: 2"),
    ({"items": ROWS, "remaining": 4}, "remaining: 4"),
]
