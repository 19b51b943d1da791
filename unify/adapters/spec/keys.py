"""Every key of the spec language: its type, default, meaning and an example.

With ``requestkeys`` the one description from which the reader, the JSON Schema and the tables of
rest_specs/README.md come.
"""

from __future__ import annotations

from unify.adapters.spec.request_keys import AUTH, ERROR, LIMITS, PAGING
from unify.adapters.spec.schema import (
    AnySchema,
    BooleanSchema,
    Key,
    ListSchema,
    MapSchema,
    NumberSchema,
    ObjectSchema,
    TextSchema,
    UnionSchema,
)

_TEXT = TextSchema()

OPTION = ObjectSchema(
    "options.NAME",
    (
        Key("description", _TEXT, "What it is, for people.", "", "Personal access token"),
        Key(
            "default", _TEXT, "Its value where a connection gives none.", "no value", "https://api.github.com"
        ),
        Key("secret", BooleanSchema(), "Never shown, logged or stored.", "false", "true"),
        Key("required", BooleanSchema(), "A connection has to give it.", "false", "true"),
    ),
)

COLUMN = ObjectSchema(
    "columns.NAME",
    (
        Key(
            "type",
            TextSchema("type"),
            "A DuckDB type; `columns: {NAME: TYPE}` is short for it.",
            "found out",
            "json",
        ),
        Key("description", _TEXT, "What it is, for people.", "", "Repository name"),
        Key(
            "from",
            TextSchema("source"),
            "A dotted path in the row, `$.path` in its body, or a `{variable}`.",
            "the column of this name",
            '"{repo}"',
        ),
        Key(
            "format",
            TextSchema("writing"),
            "How the API writes moments and dates here, or 1234.5 as it writes numbers in texts: `1,234.5`, "
            "`1.234,5`, `1 234,5`, `1 234.5`, `1'234.5` or `1234,5`.",
            "iso8601",
            "unix_ms",
        ),
    ),
)

FOR_EACH = ObjectSchema(
    "for_each",
    (
        Key(
            "query",
            TextSchema("select"),
            "SELECT over the connection's own tables.",
            "",
            "select id from boards",
        ),
        Key(
            "rows",
            ListSchema(MapSchema(_TEXT)),
            "Given rows, instead of a query.",
            "",
            "[{site: de}, {site: fr}]",
        ),
        Key("batch", NumberSchema(1, 10_000), "Join so many values with commas into one request.", "1", "50"),
    ),
)

INCREMENTAL = ObjectSchema(
    "incremental",
    (
        Key("cursor", TextSchema("column"), "Column that tells what is new.", "", "updated_at", True),
        Key(
            "param",
            _TEXT,
            "Parameter that carries it; or put `{cursor}` into `params` or `body`.",
            "",
            "since",
        ),
        Key("start", _TEXT, "Where the first load begins.", "the beginning", "2015-01-01T00:00:00Z"),
        Key("lookback", TextSchema("duration"), "Read again what is this much older.", "0", "5 minutes"),
        Key(
            "format",
            TextSchema("times"),
            "How the API wants the cursor.",
            "numbers and days as they came, moments iso8601",
            "unix",
        ),
        Key(
            "window",
            TextSchema("duration"),
            "Step through time in slices; `{until}` is a slice's end.",
            "one slice",
            "30 days",
        ),
        Key(
            "order",
            TextSchema(choices=("asc", "desc")),
            "desc: the API gives the newest first; stop at the first row older than the cursor.",
            "unknown",
            "desc",
        ),
    ),
)

REFRESH = ObjectSchema(
    "refresh",
    (
        Key("every", TextSchema("duration"), "How old a table may get.", "never refreshed", "15 minutes"),
        Key(
            "strategy",
            TextSchema(choices=("reload", "append", "merge", "merge_delete")),
            "reload: all again; append; merge: by key; merge_delete: and drop keys no longer seen.",
            "merge with incremental and key, else reload",
            "merge",
        ),
    ),
)

LIVE = ObjectSchema(
    "live",
    (Key("cache", TextSchema("duration"), "How long an answer may be used again.", "0", "60 seconds"),),
)

PARAM_BY_OP = ObjectSchema(
    "filters.COLUMN.param",
    tuple(
        Key(op, _TEXT, f"Parameter that carries the value of `{op}`.", "none", example)
        for op, example in (
            ("=", "on"),
            ("in", "ids"),
            (">", "after"),
            (">=", "since"),
            ("<", "before"),
            ("<=", "until"),
            ("like", "q"),
        )
    ),
)

FILTER = ObjectSchema(
    "filters.COLUMN",
    (
        Key(
            "param",
            UnionSchema((_TEXT, PARAM_BY_OP)),
            "Parameter that carries the value, or one for each comparison.",
            "the column",
            '{">=": since, "<=": until}',
        ),
        Key(
            "ops",
            ListSchema(TextSchema(choices=("=", "in", ">", ">=", "<", "<=", "like"))),
            "Comparisons it stands for.",
            '["="]',
            '["=", in]',
        ),
        Key("required", BooleanSchema(), "A query has to give it (live tables).", "false", "true"),
        Key("format", TextSchema("times"), "How the API wants moments.", "iso8601", "date"),
    ),
)

_ERRORS = ListSchema(ERROR)
_HEADERS = MapSchema(_TEXT, "header")
_COLUMNS = UnionSchema((TextSchema("column"), ListSchema(TextSchema("column"))))
_GLOBS = UnionSchema((TextSchema("glob"), ListSchema(TextSchema("glob"))))

TABLE = ObjectSchema(
    "tables[]",
    (
        Key("name", TextSchema("name"), "Name in SQL.", "", "pulls", True),
        Key("description", _TEXT, "What its rows are.", "", "Pull requests of every repository"),
        Key(
            "request",
            UnionSchema((TextSchema("request"), ListSchema(TextSchema("request")))),
            "Method and path, or a full address of the same origin; of several, the first whose options "
            "all have a value and that is not answered with 404.",
            "",
            "GET /repos/{owner}/{repo}/pulls",
            True,
        ),
        Key(
            "params",
            MapSchema(AnySchema(), "column"),
            "Query parameters; a list repeats one.",
            "none",
            "{state: all}",
        ),
        Key("headers", _HEADERS, "Headers beside the adapter's.", "none", "{Accept: text/csv}"),
        Key("body", AnySchema(), "JSON body of a POST.", "none", '{query: "…"}'),
        Key(
            "form", MapSchema(_TEXT, "column"), "Form fields of a POST, instead of a body.", "none", "{a: 1}"
        ),
        Key(
            "rows",
            TextSchema("path"),
            "Where the list is in the body; `$` is the body itself.",
            "found out",
            "items",
        ),
        Key(
            "where",
            MapSchema(UnionSchema((_TEXT, ListSchema(_TEXT))), "path"),
            "Keep only rows whose member at a dotted path equals a text, or one of several. A text with an "
            "option that has no value does not count; where none counts, every row is kept.",
            "every row",
            '{owner.login: "{org}"}',
        ),
        Key("key", _COLUMNS, "Column or columns that identify a row.", "none", "id"),
        Key(
            "for_each",
            UnionSchema((TextSchema("select"), ListSchema(MapSchema(_TEXT)), FOR_EACH)),
            "One request for each row of a SELECT or of a list; the row's columns are variables.",
            "one request",
            "select id as board from boards",
        ),
        Key(
            "columns",
            MapSchema(UnionSchema((TextSchema("type"), COLUMN)), "column"),
            "What is known of columns; others are found out.",
            "found out",
            "{number: bigint}",
        ),
        Key("exclude", _GLOBS, "Columns to leave out, by name or glob.", "none", '["*_url"]'),
        Key("only", _GLOBS, "The only columns to keep, by name or glob.", "every column", "[id, name]"),
        Key("flatten", NumberSchema(0, 100), "Levels of objects that become columns.", "every level", "1"),
        Key("paging", PAGING, "Instead of the adapter's.", "the adapter's", "{type: none}"),
        Key("incremental", INCREMENTAL, "How later loads ask for changes only.", "all again", "{cursor: id}"),
        Key(
            "refresh", REFRESH, "When and how the table is brought up to date.", "by hand", "{every: 1 hour}"
        ),
        Key("live", LIVE, "Not stored: each query calls the API.", "stored", "{cache: 60 seconds}"),
        Key(
            "filters",
            MapSchema(FILTER, "column"),
            "Constants of WHERE that become parameters.",
            "none",
            "{q: {}}",
        ),
        Key("errors", _ERRORS, "Rules before the adapter's.", "none", "[{status: 410, action: skip}]"),
        Key("format", TextSchema(choices=("json", "jsonl", "csv", "xml")), "Of the answer.", "json", "csv"),
    ),
)

VIEW = ObjectSchema(
    "views[]",
    (
        Key("name", TextSchema("name"), "Name in SQL.", "", "open_pulls", True),
        Key("description", _TEXT, "What its rows are.", "", "Pull requests not closed yet"),
        Key(
            "query",
            TextSchema("select"),
            "SELECT over the tables and the views above.",
            "",
            "select … from pulls",
            True,
        ),
    ),
)

CHECK = ObjectSchema(
    "check",
    (
        Key("request", TextSchema("request"), "As little as needs the credentials.", "", "GET /user", True),
        Key("identity", TextSchema("path"), "Where the answer says as whom we are known.", "none", "login"),
    ),
)

SPEC = ObjectSchema(
    "spec",
    (
        Key(
            "name",
            TextSchema("name"),
            "Name of the adapter, as connections.yaml says it.",
            "",
            "github",
            True,
        ),
        Key("description", _TEXT, "What can be read.", "", "Issues and pull requests"),
        Key(
            "documentation", TextSchema("web"), "The API's own reference.", "", "https://docs.github.com/rest"
        ),
        Key("base_url", TextSchema("address"), "What paths are appended to.", "", '"{base_url}"', True),
        Key(
            "options",
            MapSchema(OPTION),
            "What a connection supplies; each is a variable.",
            "none",
            "{org: {}}",
        ),
        Key("auth", AUTH, "How requests prove who asks.", "none", '{type: bearer, token: "{token}"}'),
        Key("headers", _HEADERS, "Headers of every request.", "none", "{Accept: application/json}"),
        Key(
            "paging",
            PAGING,
            "How pages follow each other, in every table that says nothing else.",
            "auto",
            "",
        ),
        Key("limits", LIMITS, "What the API can bear.", "4 side by side", "{requests_per_second: 10}"),
        Key(
            "errors",
            _ERRORS,
            "What to do with error answers.",
            "as HTTP says",
            "[{status: 404, action: skip}]",
        ),
        Key(
            "allowed_origins",
            ListSchema(TextSchema("origin")),
            "Other origins that next pages and redirects may lead to; credentials stay home.",
            "none",
            "[https://files.example]",
        ),
        Key("check", CHECK, "What `unify check` asks.", "a row of the first table", "{request: GET /user}"),
        Key("tables", ListSchema(TABLE), "The data sets.", "", "", True),
        Key("views", ListSchema(VIEW), "Views over them.", "none", ""),
    ),
)
