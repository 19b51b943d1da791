"""Every key of the spec language: its type, default, meaning and an example.

With ``requestkeys`` the one description from which the reader, the JSON Schema and the tables of
rest_specs/README.md come.
"""

from __future__ import annotations

from unify.adapters.requestkeys import AUTH, ERROR, LIMITS, PAGING
from unify.adapters.specshape import (
    Anything,
    Either,
    Entries,
    Flag,
    Items,
    Key,
    Number,
    Record,
    Text,
)

_TEXT = Text()

OPTION = Record(
    "options.NAME",
    (
        Key("description", _TEXT, "What it is, for people.", "", "Personal access token"),
        Key(
            "default", _TEXT, "Its value where a connection gives none.", "no value", "https://api.github.com"
        ),
        Key("secret", Flag(), "Never shown, logged or stored.", "false", "true"),
        Key("required", Flag(), "A connection has to give it.", "false", "true"),
    ),
)

COLUMN = Record(
    "columns.NAME",
    (
        Key(
            "type",
            Text("type"),
            "A DuckDB type; `columns: {NAME: TYPE}` is short for it.",
            "found out",
            "json",
        ),
        Key("description", _TEXT, "What it is, for people.", "", "Repository name"),
        Key(
            "from",
            Text("source"),
            "A dotted path in the row, `$.path` in its body, or a `{variable}`.",
            "the column of this name",
            '"{repo}"',
        ),
        Key(
            "format",
            Text("writing"),
            "How the API writes moments and dates here, or 1234.5 as it writes numbers in texts: `1,234.5`, "
            "`1.234,5`, `1 234,5`, `1 234.5`, `1'234.5` or `1234,5`.",
            "iso8601",
            "unix_ms",
        ),
    ),
)

FOR_EACH = Record(
    "for_each",
    (
        Key("query", Text("select"), "SELECT over the connection's own tables.", "", "select id from boards"),
        Key("rows", Items(Entries(_TEXT)), "Given rows, instead of a query.", "", "[{site: de}, {site: fr}]"),
        Key("batch", Number(1, 10_000), "Join so many values with commas into one request.", "1", "50"),
    ),
)

INCREMENTAL = Record(
    "incremental",
    (
        Key("cursor", Text("column"), "Column that tells what is new.", "", "updated_at", True),
        Key(
            "param",
            _TEXT,
            "Parameter that carries it; or put `{cursor}` into `params` or `body`.",
            "",
            "since",
        ),
        Key("start", _TEXT, "Where the first load begins.", "the beginning", "2015-01-01T00:00:00Z"),
        Key("lookback", Text("duration"), "Read again what is this much older.", "0", "5 minutes"),
        Key(
            "format",
            Text("times"),
            "How the API wants the cursor.",
            "numbers and days as they came, moments iso8601",
            "unix",
        ),
        Key(
            "window",
            Text("duration"),
            "Step through time in slices; `{until}` is a slice's end.",
            "one slice",
            "30 days",
        ),
        Key(
            "order",
            Text(choices=("asc", "desc")),
            "desc: the API gives the newest first; stop at the first row older than the cursor.",
            "unknown",
            "desc",
        ),
    ),
)

REFRESH = Record(
    "refresh",
    (
        Key("every", Text("duration"), "How old a table may get.", "never refreshed", "15 minutes"),
        Key(
            "strategy",
            Text(choices=("reload", "append", "merge", "merge_delete")),
            "reload: all again; append; merge: by key; merge_delete: and drop keys no longer seen.",
            "merge with incremental and key, else reload",
            "merge",
        ),
    ),
)

LIVE = Record(
    "live",
    (Key("cache", Text("duration"), "How long an answer may be used again.", "0", "60 seconds"),),
)

PARAM_BY_OP = Record(
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

FILTER = Record(
    "filters.COLUMN",
    (
        Key(
            "param",
            Either((_TEXT, PARAM_BY_OP)),
            "Parameter that carries the value, or one for each comparison.",
            "the column",
            '{">=": since, "<=": until}',
        ),
        Key(
            "ops",
            Items(Text(choices=("=", "in", ">", ">=", "<", "<=", "like"))),
            "Comparisons it stands for.",
            '["="]',
            '["=", in]',
        ),
        Key("required", Flag(), "A query has to give it (live tables).", "false", "true"),
        Key("format", Text("times"), "How the API wants moments.", "iso8601", "date"),
    ),
)

_ERRORS = Items(ERROR)
_HEADERS = Entries(_TEXT, "header")
_COLUMNS = Either((Text("column"), Items(Text("column"))))
_GLOBS = Either((Text("glob"), Items(Text("glob"))))

TABLE = Record(
    "tables[]",
    (
        Key("name", Text("name"), "Name in SQL.", "", "pulls", True),
        Key("description", _TEXT, "What its rows are.", "", "Pull requests of every repository"),
        Key(
            "request",
            Either((Text("request"), Items(Text("request")))),
            "Method and path, or a full address of the same origin; of several, the first whose options "
            "all have a value and that is not answered with 404.",
            "",
            "GET /repos/{owner}/{repo}/pulls",
            True,
        ),
        Key(
            "params",
            Entries(Anything(), "column"),
            "Query parameters; a list repeats one.",
            "none",
            "{state: all}",
        ),
        Key("headers", _HEADERS, "Headers beside the adapter's.", "none", "{Accept: text/csv}"),
        Key("body", Anything(), "JSON body of a POST.", "none", '{query: "…"}'),
        Key("form", Entries(_TEXT, "column"), "Form fields of a POST, instead of a body.", "none", "{a: 1}"),
        Key(
            "rows",
            Text("path"),
            "Where the list is in the body; `$` is the body itself.",
            "found out",
            "items",
        ),
        Key(
            "where",
            Entries(Either((_TEXT, Items(_TEXT))), "path"),
            "Keep only rows whose member at a dotted path equals a text, or one of several. A text with an "
            "option that has no value does not count; where none counts, every row is kept.",
            "every row",
            '{owner.login: "{org}"}',
        ),
        Key("key", _COLUMNS, "Column or columns that identify a row.", "none", "id"),
        Key(
            "for_each",
            Either((Text("select"), Items(Entries(_TEXT)), FOR_EACH)),
            "One request for each row of a SELECT or of a list; the row's columns are variables.",
            "one request",
            "select id as board from boards",
        ),
        Key(
            "columns",
            Entries(Either((Text("type"), COLUMN)), "column"),
            "What is known of columns; others are found out.",
            "found out",
            "{number: bigint}",
        ),
        Key("exclude", _GLOBS, "Columns to leave out, by name or glob.", "none", '["*_url"]'),
        Key("only", _GLOBS, "The only columns to keep, by name or glob.", "every column", "[id, name]"),
        Key("flatten", Number(0, 100), "Levels of objects that become columns.", "every level", "1"),
        Key("paging", PAGING, "Instead of the adapter's.", "the adapter's", "{type: none}"),
        Key("incremental", INCREMENTAL, "How later loads ask for changes only.", "all again", "{cursor: id}"),
        Key(
            "refresh", REFRESH, "When and how the table is brought up to date.", "by hand", "{every: 1 hour}"
        ),
        Key("live", LIVE, "Not stored: each query calls the API.", "stored", "{cache: 60 seconds}"),
        Key(
            "filters",
            Entries(FILTER, "column"),
            "Constants of WHERE that become parameters.",
            "none",
            "{q: {}}",
        ),
        Key("errors", _ERRORS, "Rules before the adapter's.", "none", "[{status: 410, action: skip}]"),
        Key("format", Text(choices=("json", "jsonl", "csv", "xml")), "Of the answer.", "json", "csv"),
    ),
)

VIEW = Record(
    "views[]",
    (
        Key("name", Text("name"), "Name in SQL.", "", "open_pulls", True),
        Key("description", _TEXT, "What its rows are.", "", "Pull requests not closed yet"),
        Key(
            "query",
            Text("select"),
            "SELECT over the tables and the views above.",
            "",
            "select … from pulls",
            True,
        ),
    ),
)

CHECK = Record(
    "check",
    (
        Key("request", Text("request"), "As little as needs the credentials.", "", "GET /user", True),
        Key("identity", Text("path"), "Where the answer says as whom we are known.", "none", "login"),
    ),
)

SPEC = Record(
    "spec",
    (
        Key("name", Text("name"), "Name of the adapter, as connections.yaml says it.", "", "github", True),
        Key("description", _TEXT, "What can be read.", "", "Issues and pull requests"),
        Key("documentation", Text("web"), "The API's own reference.", "", "https://docs.github.com/rest"),
        Key("base_url", Text("address"), "What paths are appended to.", "", '"{base_url}"', True),
        Key(
            "options", Entries(OPTION), "What a connection supplies; each is a variable.", "none", "{org: {}}"
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
            Items(Text("origin")),
            "Other origins that next pages and redirects may lead to; credentials stay home.",
            "none",
            "[https://files.example]",
        ),
        Key("check", CHECK, "What `unify check` asks.", "a row of the first table", "{request: GET /user}"),
        Key("tables", Items(TABLE), "The data sets.", "", "", True),
        Key("views", Items(VIEW), "Views over them.", "none", ""),
    ),
)
