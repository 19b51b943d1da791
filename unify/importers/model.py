"""The model of a foreign API description: every importer builds it, and ``emit`` writes it as YAML.

The Structs have the keys of the spec language: a field that is set becomes the key of the same name. Texts
are templates of the spec language; durations are texts.
"""
# Annotations are not strings here: msgspec evaluates them, and they start faster.

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct, field

Json = Any  # a JSON value: dict, list, str, int, float, bool or None


class ImportedOption(Struct, frozen=True, omit_defaults=True):
    """An option of the connection. A secret has no default: no value of a secret is ever written."""

    name: str
    description: str = ""
    default: str | None = None
    secret: bool = False
    required: bool = False


class AuthOffer(Struct, frozen=True):
    """One way to authenticate. ``name`` is what ``--auth`` selects; ``settings`` are the keys of ``auth``."""

    name: str
    settings: Mapping[str, Json]


class ImportedRequest(Struct, frozen=True, omit_defaults=True):
    """The request of a table: ``path`` starts with a slash, below the ``base_url`` of the API."""

    method: Literal["GET", "POST"] = "GET"
    path: str = "/"
    params: Mapping[str, Json] = {}
    headers: Mapping[str, str] = {}
    body: Json = None
    form: Mapping[str, str] | None = None
    body_of_get: bool = False


class ImportedPaging(Struct, frozen=True, omit_defaults=True):
    """``paging`` of a table; None in a table: found out from the first response."""

    type: str = ""
    page_param: str | None = None
    offset_param: str | None = None
    cursor_param: str | None = None
    cursor_path: str | None = None
    cursor_column: str | None = None
    cursor_header: str | None = None
    path: str | None = None
    header: str | None = None
    size_param: str | None = None
    size: int | str | None = None
    first: int | None = None
    first_bare: bool = False
    more_path: str | None = None
    last_path: str | None = None
    total_path: str | None = None
    pages_path: str | None = None
    until_empty: bool = False
    short_page: str | None = None
    keep: str | None = None
    location: str | None = field(name="in", default=None)
    max_pages: int | None = None


class ImportedIncremental(Struct, frozen=True, omit_defaults=True):
    """``incremental`` of a table."""

    cursor: str
    param: str | None = None
    start: str | None = None
    format: str | None = None
    window: str | None = None
    lookback: str | None = None
    not_before: str | None = None
    end: str | None = None
    order: str | None = None


class ImportedColumn(Struct, frozen=True, omit_defaults=True):
    """A column that the spec declares."""

    name: str
    type: str | None = None
    source: str | None = field(name="from", default=None)
    sql: str | None = None
    value: Json = None
    format: str | None = None
    description: str = ""


class ImportedErrorRule(Struct, frozen=True, omit_defaults=True):
    """A rule of ``errors``."""

    status: int | None = None
    body: str | None = None
    where: Mapping[str, str] = {}
    action: str = ""


class ImportedFilter(Struct, frozen=True, omit_defaults=True):
    """A filter of a live table."""

    column: str
    param: str | None = None
    required: bool = False


class ImportedTable(Struct, frozen=True, omit_defaults=True):
    """A table. ``parents`` are the tables that ``for_each`` reads; ``line`` is its line in the source.

    ``added``  the table is in the source no stream of its own: it was made for its children.
    """

    name: str
    request: ImportedRequest
    description: str = ""
    for_each: str | tuple[Mapping[str, str], ...] | Mapping[str, Json] | None = None
    format: str | None = None
    csv: Mapping[str, Json] = {}
    rows: str | tuple[str, ...] | None = None
    rows_name: str | None = None
    where: Mapping[str, Json] | str = {}
    key: tuple[str, ...] = ()
    columns: tuple[ImportedColumn, ...] = ()
    exclude: tuple[str, ...] = ()
    paging: ImportedPaging | None = None
    incremental: ImportedIncremental | None = None
    live: Mapping[str, Json] | None = None
    filters: tuple[ImportedFilter, ...] = ()
    errors: tuple[ImportedErrorRule, ...] = ()
    auth: Mapping[str, Json] | None = None
    parents: tuple[str, ...] = ()
    line: int = 0
    added: bool = False

    @property
    def list_options(self) -> frozenset[str]:
        """The options whose values ``for_each`` lists."""
        option = self.for_each.get("option") if isinstance(self.for_each, Mapping) else None
        return frozenset(option if isinstance(option, list) else [option] if option else [])


class Leftover(Struct, frozen=True):
    """A stream or request of the source that does not become a table, and why. Line 0: not known."""

    name: str
    reason: str
    line: int = 0


class ImportNote(Struct, frozen=True):
    """A difference from the source that may matter; ``subject`` is a table, or ``""`` for the whole API."""

    subject: str
    text: str


class ImportSource(Struct, frozen=True):
    """What was imported: its name, version and licence, as far as the source states them."""

    format: str
    name: str = ""
    version: str = ""
    licence: str = ""


class ImportedAPI(Struct, frozen=True):
    """An API as a source describes it.

    ``auths``  the ways to authenticate, best first; none: requests are sent without credentials.
    ``choices``  options that are decided when the API is imported, besides those of ``options``.
    ``credential_origins``  other origins of requests, to which credentials are sent, too.
    ``tables`` in the order of the source; a parent stands before its children.
    """

    name: str
    base_url: str
    source: ImportSource
    description: str = ""
    documentation: str = ""
    options: tuple[ImportedOption, ...] = ()
    choices: tuple[str, ...] = ()
    auths: tuple[AuthOffer, ...] = ()
    headers: Mapping[str, str] = {}
    credential_origins: tuple[str, ...] = ()
    paging: ImportedPaging | None = None
    requests_per_second: float | None = None
    tables: tuple[ImportedTable, ...] = ()
    left: tuple[Leftover, ...] = ()
    notes: tuple[ImportNote, ...] = ()


class ImportSettings(Struct, frozen=True):
    """What the command line says about an import.

    ``options``  values that the user sets for options of the API, by name.
    ``live``     also import requests of single objects, as live tables.
    """

    name: str | None = None
    auth: str | None = None
    options: Mapping[str, str] = {}
    live: bool = False
