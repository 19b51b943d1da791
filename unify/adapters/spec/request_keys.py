"""The keys of the spec language that say how an API is asked: proof, pages, limits, errors."""

from __future__ import annotations

from unify.adapters.spec.model import OAUTH_GRANTS
from unify.adapters.spec.schema import (
    AnySchema,
    Key,
    ListSchema,
    MapSchema,
    NumberSchema,
    ObjectSchema,
    TextSchema,
    VariantSchema,
)

_TEXT = TextSchema()
_SIZE = NumberSchema(1, 1_000_000)
_SEND_LOCATION = TextSchema(choices=("header", "query", "cookie"))

AUTH = VariantSchema(
    "auth",
    {
        "none": (),
        "basic": (
            Key("username", _TEXT, "User name.", "", "{email}", True),
            Key("password", _TEXT, "Password or token.", "empty", "{token}"),
        ),
        "bearer": (Key("token", _TEXT, "Sent as `Authorization: Bearer …`.", "", "{token}", True),),
        "api_key": (
            Key("name", _TEXT, "Header, parameter or cookie that carries it.", "", "X-API-Key", True),
            Key("value", _TEXT, "What it carries.", "", "{api_key}", True),
            Key("in", _SEND_LOCATION, "Where it goes.", "header", "query"),
        ),
        "oauth2": (
            Key(
                "grant",
                TextSchema(choices=OAUTH_GRANTS),
                "How a token is had.",
                "client_credentials",
                "refresh_token",
            ),
            Key(
                "token_url",
                TextSchema("address"),
                "Where tokens are given.",
                "",
                "https://a.example/token",
                True,
            ),
            Key(
                "authorize_url",
                TextSchema("address"),
                "Where a person consents (authorization_code), or where a code is asked for (device_code).",
                "none",
                "https://a.example/authorize",
            ),
            Key(
                "redirect_port",
                TextSchema("port"),
                "The port of 127.0.0.1 that the browser comes back to (authorization_code), "
                "where the application is registered with one.",
                "a free one",
                "8400",
            ),
            Key("client_id", _TEXT, "Name of the application.", "", "{client_id}", True),
            Key("client_secret", _TEXT, "Its password.", "none", "{client_secret}"),
            Key(
                "refresh_token", _TEXT, "A refresh token the connection supplies.", "none", "{refresh_token}"
            ),
            Key("scopes", ListSchema(_TEXT), "What is asked for.", "what the API gives", "[read]"),
        ),
        "session": (
            Key("request", TextSchema("request"), "The log-in request.", "", "POST /login", True),
            Key("body", AnySchema(), "Its JSON body.", "none", '{user: "{user}"}'),
            Key(
                "form",
                MapSchema(_TEXT, "column"),
                "Its form fields, instead of a body.",
                "none",
                '{u: "{user}"}',
            ),
            Key("token", TextSchema("path"), "Where the token is in the answer.", "", "data.token", True),
            Key("name", _TEXT, "Header, parameter or cookie that carries it.", "Authorization", "X-Session"),
            Key(
                "value", _TEXT, "What it carries; `{session}` is the token.", "Bearer {session}", "{session}"
            ),
            Key("in", _SEND_LOCATION, "Where it goes.", "header", "cookie"),
        ),
        "aws_sigv4": (
            Key("access_key_id", _TEXT, "Access key.", "", "{access_key_id}", True),
            Key("secret_access_key", _TEXT, "Its secret.", "", "{secret_access_key}", True),
            Key("session_token", _TEXT, "Token of temporary credentials.", "none", "{session_token}"),
            Key("region", _TEXT, "Region.", "", "us-east-1", True),
            Key("service", _TEXT, "Service as signatures name it.", "", "ce", True),
        ),
        "jwt": (
            Key("algorithm", TextSchema(choices=("HS256", "RS256", "ES256")), "Signature.", "RS256", "ES256"),
            Key("key", _TEXT, "Signing key.", "", "{private_key}", True),
            Key("key_id", _TEXT, "The `kid` of the header.", "none", "{key_id}"),
            Key(
                "claims",
                MapSchema(_TEXT, "column"),
                "Claims beside `iat` and `exp`.",
                "none",
                '{iss: "{app}"}',
            ),
            Key("lifetime", TextSchema("duration"), "From `iat` to `exp`.", "5 minutes", "10 minutes"),
        ),
    },
    default=None,
    description="How requests prove who asks.",
)

_CURSOR_KEYS = (
    Key("cursor_path", TextSchema("path"), "Where the next cursor is in the body.", "none", "meta.next"),
    Key("cursor_column", TextSchema("path"), "The last row's member that is the next cursor.", "none", "id"),
    Key("cursor_header", TextSchema("header"), "The answer's header with the next cursor.", "none", "X-Next"),
    Key(
        "cursor_param", _TEXT, "Carries the cursor; the first page goes without.", "cursor", "starting_after"
    ),
)
_MORE_KEYS = (
    Key(
        "more_path",
        TextSchema("path"),
        "Member of the body that says whether more follows.",
        "none",
        "has_more",
    ),
)
_SIZE_KEYS = (
    Key("size_param", _TEXT, "Carries the page size.", "none", "per_page"),
    Key("size", _SIZE, "Rows a page.", "the API's own", "100"),
)
_TOTAL_KEYS = (
    Key("total_path", TextSchema("path"), "Where the body says how many rows there are.", "none", "total"),
    Key("pages_path", TextSchema("path"), "Where the body says how many pages there are.", "none", "pages"),
)
_PAGE_KEYS = (
    Key("page_param", _TEXT, "Carries the page number.", "page", "page"),
    Key("first", NumberSchema(0, 1), "Number of the first page.", "1", "0"),
)
_OFFSET_KEYS = (Key("offset_param", _TEXT, "Carries the number of rows to pass over.", "offset", "startAt"),)

PAGING = VariantSchema(
    "paging",
    {
        "none": (),
        "page": (*_PAGE_KEYS, *_SIZE_KEYS, *_TOTAL_KEYS, *_MORE_KEYS),
        "offset": (*_OFFSET_KEYS, *_SIZE_KEYS, *_TOTAL_KEYS, *_MORE_KEYS),
        "cursor": (*_CURSOR_KEYS, *_MORE_KEYS, *_SIZE_KEYS),
        "link_header": (*_SIZE_KEYS, *_TOTAL_KEYS),
        "next_url": (
            Key(
                "path",
                TextSchema("path"),
                "Where the next page's address is in the body.",
                "",
                "links.next",
                True,
            ),
            *_SIZE_KEYS,
        ),
        "auto": _SIZE_KEYS,
    },
    default="auto",
    common=(
        Key(
            "in",
            TextSchema(choices=("query", "body", "path")),
            "Where page, offset, cursor and size go; in body and path their names are variables.",
            "query",
            "body",
        ),
        Key("max_pages", NumberSchema(1, 1_000_000), "Stop after so many pages.", "no bound", "50"),
    ),
    description="How the pages of a table follow each other.",
)

LIMITS = ObjectSchema(
    "limits",
    (
        Key(
            "requests_per_second",
            NumberSchema(0.001, 10_000, integer=False),
            "All workers together.",
            "no limit",
            "10",
        ),
        Key("concurrency", NumberSchema(1, 64), "Requests side by side, all workers together.", "4", "8"),
    ),
)

ERROR = ObjectSchema(
    "errors[]",
    (
        Key("status", NumberSchema(100, 599), "The answer's status.", "any, with this body", "404"),
        Key("body", _TEXT, "A text its body holds.", "any, with this status", "rate limit"),
        Key(
            "action",
            TextSchema(choices=("skip", "fail", "retry", "wait")),
            "skip: this request has no rows (its first page only); fail: the load ends; "
            "retry: ask again soon; wait: as for 429.",
            "",
            "skip",
            True,
        ),
    ),
)
