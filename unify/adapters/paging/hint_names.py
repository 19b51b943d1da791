"""Finds the hints of a response: members outside the rows, headers, texts such as "1-20 of 45".

A name says what a member is; where a name has other meanings too (``token``, ``count``, ``total``), it counts
only beside the rows or in an object that is about paging.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from unify.adapters.paging.base import Member, PageInfo, parse_count, parse_integer
from unify.adapters.paging.hints import Hint, HintKind, Hints, has_value, simplify
from unify.patterns import LazyPattern

_PARTIAL_CONTENT = Hint(
    HintKind.MESSAGE, "the status", "status", "status", "", "206 Partial Content", in_header=False
)


def member_hints(members: Sequence[Member], rows_name: str) -> list[Hint]:
    """The hints in members of a body."""
    return [hint for member in members if (hint := _member_hint(member, rows_name)) is not None]


def collect_hints(page_info: PageInfo, request_params: Mapping[str, Any], rows_name: str) -> Hints:
    """The hints of a page; ``request_params`` may hold a page size, ``rows_name`` is the table's name."""
    list_name = page_info.rows_path.rpartition(".")[2]
    found = [
        *(_member_hint(member, rows_name, list_name) for member in page_info.outside()),
        *([_PARTIAL_CONTENT] if page_info.is_partial else []),
        *(hint for name, value in page_info.headers.items() for hint in _header_hints(name, value)),
    ]
    sizes = [
        Hint(HintKind.SIZE, f"the request's {name}", simplify(name), name, "", value)
        for name, value in request_params.items()
        if simplify(name.rpartition("[")[2]) in _REQUEST_SIZES and parse_integer(value) is not None
    ]
    return Hints([hint for hint in (*found, *sizes) if hint is not None], page_info.row_count)


_CONTAINER = LazyPattern(
    r"(pag(e|ing|er|ination)(info|data|meta|details|ination)?s?|meta(data)?|info|cursors?|links?|summary|"
    r"(next|prev|previous)(page)?|(result|response|list|query|search|record)?(info|meta|metadata|set|sets|summary|"
    r"header|envelope|status|context|page|range)|(result)?setmetadata|parameters|additionaldata|result(s)?|response|data|payload|queries|"
    r"continue|view|header|headers|attr|total|counts?|hits|collection|feed|opensearch|nextpage|range|stats|state)"
)
_FOREIGN_CONTAINER = LazyPattern(
    r".*(shards?|rate|quota|usage|user|account|error|warning|debug|timing|aggregation|facet|bucket|filter|"
    r"limits|links?self|profile|permission|prev|previous|first).*"
)

_MORE = LazyPattern(
    r"(has|have|is|are|got|with)?(any)?(more|next|additional|further)(page|pages|item|items|record|records|result|"
    r"results|row|rows|data|entries|objects|elements|values|available|toload|exists?|exist)*(incollection|available|"
    r"exists?)?(flag)?|.*hasmore.*|.*hasnext.*|.*(is|was|list)?truncated|.*exceeded(transferlimit|limit)?|"
    r"nextpageexists|(is|was|has|have|are)?(the)?(results?|lists?|data|output|response|records?|rows|items)?(is|are|was)?"
    r"(limited|incomplete|overflow(ed)?|capped|clipped|cutoff|partial)(results?|lists?|data|response)?|"
    r"(limit|max(imum)?(results|rows|records|items)?|cap)(is|was)?(reached|hit)"
)
_LAST = LazyPattern(
    r"(is|at|on|reached|has)?(the)?(last|final|end)(page|batch|chunk|slice|set|offset)?(reached)?|(is)?done|"
    r"(is)?(complete|completed|finished)|endof(stream|records|data|results?|list|pages|file|collection)|eof|eos|"
    r"jobcomplete|(no|nothing)more(pages|results|items|records|data|rows)?|allresults(returned|loaded)?|islastpage|"
    r"(is)?exhausted"
)
_NEXT = LazyPattern(
    r"(next|more|continu|after|resum|scroll|bookmark|lastevaluated|lastkey|endcursor|startcursorfornext|vidoffset).*|"
    r".*(next|continuation|scroll|resumption|paging|pagination|paginate|page|cursor)(page)?"
    r"(token|cursor|link|url|uri|href|id|marker|key|offset|start|number|index|mark|position|state|hash)|"
    r".*next(page)?|cursor|token|marker|forwardtoken|pointer|(older|more)\w*(url|link|uri)|cursormark"
)
_NOT_NEXT = LazyPattern(
    r".*(prev|previous|before|self|sync|delta|csrf|xsrf|access|refreshtoken|idtoken|session|auth|first|current|"
    r"backward|webhook|watch|nextrun|nextupdate|nextrefresh|nextbilling|nextpayment|nextrelease|nexttry|retry|"
    r"nextdate|nextstartdate|nexttime|nextreset|nextenddate|moreinfo|morehelp|learnmore|readmore|pageurl$|"
    r"pagelink$|pageid$|pagetitle).*"
)
_AMBIGUOUS_NEXT = frozenset(["token", "cursor", "marker", "after", "more", "continue", "pointer", "bookmark"])
_TOTAL_NOUNS = (
    "count|counts|itemscount|recordscount|rowscount|results?|resultcount|resultscount|size|elements?|items?|itemcount|records?|recordcount|hits|rows?|rowcount|found|"
    "entries|number|matches|objects?|documents?|docs|resources?|available|results?available|members|num|"
    "numberofresults|numberofitems|numberofrecords|matching|filtered|length|value"
)
_TOTAL = LazyPattern(
    rf"total({_TOTAL_NOUNS})?|n(hits|results|records|rows|found)|(num|number|count)?(of)?(all|total|full|overall|grand)({_TOTAL_NOUNS})|"
    rf"({_TOTAL_NOUNS})total|(list|collection|set|query|search|filtered)total|(listings?|list|collection|set|record|item|row|result|"
    r"hit|object|element|entr(y|ies)|match)s?(count|total|found|filtered)|of|all|outof|matched|results|records|items|elements|"
    r"entries|objects|"
    r"count|found|hits|matches|numfound|nbhits|hitcount|estimatedtotal(hits|results)?|(num|number)(of)?(results|items|records|"
    r"rows|hits|elements|matches|entries)|fullcount|completelistsize|collectionsize|resultsetsize"
)
_AMBIGUOUS_TOTAL = frozenset(["count", "found", "hits", "matches", "total", "pages"])
# Objects that are a way on as a whole: DynamoDB's LastEvaluatedKey, OAI's resumptionToken, search_after.
_NEXT_OBJECT = LazyPattern(
    r"last(evaluated)?key|(continuation|resumption|nextpage|pagination|page|next)token|searchafter|bookmark|scrollid|"
    r"cursormark|startafter(key)?|exclusivestartkey"
)
_TOKEN_ATTRIBUTES = LazyPattern(r"(total|complete|expir|list|time|date|cursor|size|count|ttl|valid).*")
# "1-20 of 45", "Showing 20 of 45 results"; "1 of 3" of a page.
_OF_TOTAL = LazyPattern(
    r"\s*(?:[a-z :]*\b)?\d[\d,.]*\s*(?:-|–|to|through)\s*\d[\d,.]*\s*(?:of|out of|/)\s*"
    r"(?P<range>\d[\d,.]*)\b.*|"
    r".*\b(?:showing|displaying|show|returned|returning|listing|first|top|limited to)\b.*?\d.*?"
    r"\b(?:of|out of)\s+"
    r"(?:about |over |the |all )?(?P<shown>\d[\d,.]*)\b.*",
    re.IGNORECASE | re.DOTALL,
)
_PAGE_OF = LazyPattern(r"\s*(?:page\s*)?\d+\s*(?:of|/)\s*(\d+)\s*", re.IGNORECASE)
_LIMITED_TEXT = LazyPattern(
    r"\b(truncated|(only|limited to)( the)?( first| top)? \d+|partial (results?|list|data)|"
    r"results? (is|are) incomplete|more (results|records|rows|items|pages) (are )?(available|exist)|"
    r"maximum number of (results|records|rows|items))\b",
    re.IGNORECASE,
)
_MESSAGE_NAME = LazyPattern(
    r"(warn(ing)?s?|messages?|msg|notices?|remarks?|notes?|info|details?|summary|text|description)"
)
MAX_MESSAGE_CHARS = 300
_REMAINING = LazyPattern(
    r"remaining(item|row|record|result)?s?(count)?|(items?|rows?|records?|results?)?remaining"
)
_PAGES = LazyPattern(
    r"(total|num|nb|numberof|max|n)(of)?pages?(count|total)?|pages?(count|total)s?|totalpagescount|lastpage(number)?|"
    r"pages|(nb|max)page|totalnumberofpages|pagestotal|last"
)
_PAGE = LazyPattern(
    r"(current|cur|this)?page(no|num|number|index|idx)?|currentpage(number|index)?|number|current|pageid|p"
)
_OFFSET = LazyPattern(
    r"(result|row|page|rec|record)?(offset|skip|skipped|startat|startindex|startrow|startposition|startrecord|"
    r"from|start|retstart|firstresult|firstrow|begin)|firstindex"
)
_SIZE = LazyPattern(
    r"(page|batch|chunk|fetch)size|(per|hitsper|itemsper|resultsper|rowsper|recordsper|entriesper)page|"
    r"(results|items|records)pp|limit|pagelimit|"
    r"max(results?|items?|records?|rows|keys|pagesize)|take|retmax|rows|pagecountlimit|resultrecordcount|"
    r"resultsize|(effective|applied|default)limit|top|size|requestedsize|countperpage|nbperpage|perpagecount|number"
)
_REQUEST_SIZES = frozenset(
    [
        "limit",
        "perpage",
        "pagesize",
        "size",
        "maxresults",
        "max",
        "top",
        "rows",
        "take",
        "count",
        "hitsperpage",
        "itemsperpage",
        "resultsperpage",
        "first",
        "perpage",
        "pagelimit",
        "maxitems",
        "maxrecords",
        "resultrecordcount",
        "number",
        "num",
        "batchsize",
    ]
)


def _member_hint(member: Member, rows_name: str, list_name: str = "") -> Hint | None:
    """``rows_name`` and ``list_name`` are the names of the table and of the member with its rows."""
    key = simplify(member.name)
    parent = simplify(member.parent)
    containers = [simplify(name) for name in member.detour]
    in_container = all(_CONTAINER.fullmatch(name) or name == simplify(rows_name) for name in containers)
    if key in ("value", "count", "text") and parent in ("total", "hits", "totalhits", "totalcount"):
        key = "total"
    if (hint := _text_hint(member, key, containers, in_container=in_container)) is not None:
        return hint
    in_next = any(re.fullmatch(r"next.*|more|continue|hydranext", name) for name in containers) or (
        any(_NEXT_OBJECT.fullmatch(name) for name in containers) and not _TOKEN_ATTRIBUTES.fullmatch(key)
    )
    kind = _kind(key, member.value, rows_name, in_next=in_next, in_container=in_container)
    if kind is None and (bare := _without_noun(key, simplify(list_name))):
        kind = _kind(bare, member.value, rows_name, in_next=in_next, in_container=in_container)
    if kind is None or (
        not in_next
        and any(_FOREIGN_CONTAINER.fullmatch(name) for name in containers)
        and not (kind is HintKind.NEXT and in_container)
    ):
        return None
    return Hint(kind, member.path, key, member.name, member.parent, member.value)


def _without_noun(key: str, noun: str) -> str:
    """``release-count`` beside the list ``releases`` is a count; "" for other names."""
    singular = noun[:-3] + "y" if noun.endswith("ies") else noun.removesuffix("s")
    stem = next((each for each in (noun, singular) if len(each) > 2 and key.startswith(each)), "")
    bare = key.removeprefix(stem) if stem else ""
    return bare if bare in ("count", "offset", "total", "limit", "start", "page", "pages") else ""


def _text_hint(member: Member, key: str, containers: Sequence[str], *, in_container: bool) -> Hint | None:
    """A hint in words: ``message: Showing 20 of 45 results``, ``range: 1-20 of 45``, ``page: 1 of 3``."""
    text = member.value
    if not isinstance(text, str) or len(text) > MAX_MESSAGE_CHARS:
        return None
    parts = (member.path, key, member.name, member.parent)
    link = _LINK_TEXT.match(text)
    if link is not None and (key == "link" or "link" in containers):
        return Hint(HintKind.NEXT, *parts, text)
    if not in_container and not any(_MESSAGE_NAME.fullmatch(name) for name in (key, *containers)):
        return None
    if key.startswith("page") and (pages := _PAGE_OF.fullmatch(text)) is not None:
        return Hint(HintKind.PAGES, *parts, pages[1])
    if (total := _OF_TOTAL.fullmatch(text)) is not None:
        return Hint(HintKind.TOTAL, *parts, total["range"] or total["shown"])
    if any(_MESSAGE_NAME.fullmatch(name) for name in (key, *containers)) and _LIMITED_TEXT.search(text):
        return Hint(HintKind.MESSAGE, *parts, text)
    return None


_LINK_TEXT = LazyPattern(
    r"""\s*<[^>]*>[^,]*;\s*rel\s*=\s*["']?next\b|.*,\s*<[^>]*>[^,]*;\s*rel\s*=\s*["']?next\b"""
)


def _kind(key: str, value: Any, rows_name: str, *, in_next: bool, in_container: bool) -> HintKind | None:
    if in_next and key not in ("rel", "method", "type", "title", "limit", "size", "count", "name", "number"):
        return HintKind.NEXT
    number = parse_count(value)
    if _is_flag(key, value):
        if _MORE.fullmatch(key) and (in_container or key not in ("more", "next")):
            return HintKind.MORE
        if _LAST.fullmatch(key) and in_container:
            return HintKind.LAST
    if isinstance(value, bool):
        return None
    if number is not None and number >= 0:
        kind = _number_kind(key, simplify(rows_name), in_container=in_container)
        if kind is not None:
            return kind
    kind_of_next = _next_kind(key, value, in_container=in_container)
    if kind_of_next is None and in_container and _POSSIBLE.fullmatch(key) and has_value(value):
        return HintKind.POSSIBLE
    return kind_of_next


def _number_kind(key: str, name: str, *, in_container: bool) -> HintKind | None:
    """What a number says; ``name`` is the table's."""
    if _PAGES.fullmatch(key) and (in_container or _TOTAL_PAGES_NAME.search(key)):
        return HintKind.PAGES
    if in_container and (
        _TOTAL.fullmatch(key)
        or (name and key in (f"total{name}", f"{name}count", f"{name}total", f"num{name}", f"{name}found"))
    ):
        return HintKind.TOTAL
    if _TOTAL.fullmatch(key) and key not in _AMBIGUOUS_TOTAL and "total" in key:
        return HintKind.TOTAL
    if in_container:
        for pattern, kind in (
            (_REMAINING, HintKind.REMAINING),
            (_OFFSET, HintKind.OFFSET),
            (_PAGE, HintKind.PAGE),
            (_SIZE, HintKind.SIZE),
        ):
            if pattern.fullmatch(key):
                return kind
    return None


_POSSIBLE = LazyPattern(
    r"(last|max|min|since|until|end|start)(seen|item|row|record)?(id|key|value|position|seq|sequence)|"
    r"size|amount|length|quantity|final"
)
_TOTAL_PAGES_NAME = LazyPattern(r"total|num|nb|count|max")


def _next_kind(key: str, value: Any, *, in_container: bool) -> HintKind | None:
    if key == "offset" and isinstance(value, str) and in_container:
        return HintKind.NEXT  # Airtable's cursor; a number is where this page begins
    if not _NEXT.fullmatch(key) or (key in _AMBIGUOUS_NEXT and not in_container):
        return None
    if _NOT_NEXT.fullmatch(key) and not re.fullmatch(r"next(page|link)?(id|url|link|uri|href|title)?", key):
        return None
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d([T ].*)?", value) and "cursor" not in key:
        return None if "token" not in key and key != "next" else HintKind.NEXT
    return HintKind.NEXT


def _is_flag(key: str, value: Any) -> bool:
    if isinstance(value, bool):
        return True
    if isinstance(value, str):
        return value.strip().lower() in ("true", "false", "yes", "no", "y", "n") or (
            value.strip() in ("0", "1") and _reads_as_question(key)
        )
    return isinstance(value, int) and value in (0, 1) and _reads_as_question(key)


def _reads_as_question(key: str) -> bool:
    return key.startswith(("has", "is", "more", "eof", "end")) or "truncated" in key or "exceeded" in key


# Headers about other things than pages, and the standard ones whose names resemble hints.
_FOREIGN_HEADER = LazyPattern(
    r".*(ratelimit|quota|retry|runtime|duration|time|reset|prev|sync|csrf|upload|cost|bytes|charset|embedder|cache|"
    r"cookie|security|policy|encoding|options|credit|request|call|api|token(type|expir)|auth|access|session|trace|span|"
    r"version|modified|etag|disposition|transport|expect|accept|allow|vary|served|keepalive|location).*|"
    r"remaining|limit|content(?!range).*|age|date|link|server|via"
)
_PAGING_TOKEN_HEADER = LazyPattern(r".*(next|continuation|page|paging|pagination|cursor).*")


def _header_hints(name: str, value: str) -> Iterator[Hint]:
    key = simplify(name.replace(".", "-"))
    if not value or (_FOREIGN_HEADER.fullmatch(key) and not _PAGING_TOKEN_HEADER.fullmatch(key)):
        return
    bare = re.sub(r"^(x(ms|wp|pw|amz|goog)?|cb(?=after))", "", key)
    if key == "sforcelocator":
        yield Hint(HintKind.NEXT, name, "locator", name, "", value, in_header=True)
        return
    if key == "contentrange":
        total = value.rpartition("/")[2].strip()
        if total.isdigit():
            yield Hint(HintKind.TOTAL, name, "contentrange", name, "", total, in_header=True)
        return
    if value.startswith("{"):
        try:
            members = msgspec.json.decode(value)
        except msgspec.DecodeError:
            return
        for inner, item in members.items():
            if isinstance(item, dict | list):
                continue
            kind = _kind(simplify(inner), item, "", in_next=False, in_container=True)
            if kind is not None:
                yield Hint(kind, f"{name}.{inner}", simplify(inner), inner, name, item, in_header=True)
        return
    bare = re.sub(r"^[a-z]{0,12}?(pagination|paging)(?=.)", "", bare)
    kind = _kind(bare, value, "", in_next=False, in_container=True)
    if kind is not None:
        yield Hint(kind, name, bare, name, "", value, in_header=True)
