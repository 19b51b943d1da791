"""Imports curl commands: those of a documentation page, and those that browsers copy ("copy as cURL").

A text can have several commands; each becomes a table. Nothing is run, and no file is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from urllib.parse import parse_qsl, quote_plus, unquote, urlsplit

from msgspec import Struct, field
from msgspec.structs import replace

from unify.errors import FileError
from unify.importers.common.documents import SourceText
from unify.importers.common.names import unique_name
from unify.importers.common.query_paging import split_paging
from unify.importers.model import (
    ImportedAPI,
    ImportedTable,
    ImportNote,
    ImportSettings,
    ImportSource,
    Leftover,
)
from unify.importers.recorded.requests import (
    RecordedRequest,
    SecretOptions,
    api_name,
    auth_of_request,
    build_request,
    table_name,
    unusable_reason,
)
from unify.importers.recorded.shell_words import ShellCommand, split_commands

_VALUES = {  # options with a value that matter
    **dict.fromkeys(("-X", "--request"), "method"),
    **dict.fromkeys(("-H", "--header"), "header"),
    **dict.fromkeys(("-u", "--user"), "user"),
    **dict.fromkeys(("-d", "--data", "--data-ascii", "--data-raw", "--data-binary"), "data"),
    "--data-urlencode": "urlencode",
    "--json": "json",
    "--url": "url",
    "--url-query": "query",
    **dict.fromkeys(("-b", "--cookie"), "cookie"),
    **dict.fromkeys(("-F", "--form", "--form-string", "-T", "--upload-file"), "upload"),
    "--oauth2-bearer": "bearer",
    **dict.fromkeys(("-A", "--user-agent", "-e", "--referer"), "ignored"),
}
# Options with a value that say how curl works, and nothing about the request.
_IGNORED_VALUES = frozenset(
    [
        *("-o", "--output", "-w", "--write-out", "-m", "--max-time", "--connect-timeout", "--retry", "-x"),
        *("--proxy", "-c", "--cookie-jar", "--cacert", "--capath", "-E", "--cert", "--key", "--retry-delay"),
        *(
            "--retry-max-time",
            "--max-redirs",
            "--resolve",
            "--interface",
            "-D",
            "--dump-header",
            "--limit-rate",
        ),
        *("-K", "--config", "--ciphers", "--tls-max", "--compressed-ssh", "--stderr", "--trace", "-y", "-Y"),
        *("-z", "--time-cond", "-r", "--range", "--noproxy", "--proxy-user", "-U", "--netrc-file"),
    ]
)
_FLAGS = frozenset(
    [
        *("--silent", "--show-error", "--location", "--insecure", "--include", "--verbose", "--compressed"),
        *("--fail", "--fail-with-body", "--globoff", "--netrc", "--progress-bar", "--http1.1", "--http2"),
        *("--http2-prior-knowledge", "--http3", "--ipv4", "--ipv6", "--remote-name", "--basic", "--raw"),
        *("--location-trusted", "--next", "--parallel", "--ssl-reqd", "--tcp-nodelay", "--path-as-is"),
    ]
)


class _CurlCommand(Struct):
    """A command while its words are read."""

    line: int
    method: str | None = None
    urls: list[str] = field(default_factory=list)
    headers: list[tuple[str, str]] = field(default_factory=list)
    data: list[str] = field(default_factory=list)
    query: list[tuple[str, str]] = field(default_factory=list)
    user: str | None = None
    as_query: bool = False
    is_json: bool = False
    problem: str | None = None
    unknown: list[str] = field(default_factory=list)


def import_curl(sources: Sequence[SourceText], settings: ImportSettings) -> ImportedAPI:
    """Read the curl commands of the texts. Raises FileError if there are none."""
    words = [command for source in sources for command in split_commands(source.text) if _is_curl(command)]
    if not words:
        raise FileError(f"{sources[0].path}: no curl command found; paste one that starts with curl")
    commands = [_parse_command(command) for command in words]
    found = [(command, request) for command in commands for request in _requests_of(command)]
    base = next((request.origin for _, request in found if unusable_reason(request) is None), "")
    usable: list[RecordedRequest] = []
    left = [
        Leftover("curl", each.problem or "it has no address", each.line) for each in commands if not each.urls
    ]
    for command, request in found:
        reason = command.problem or unusable_reason(request) or _other_origin(request, base)
        if reason is None:
            usable.append(request)
        else:
            left.append(Leftover(f"{request.method} {request.path}", reason, request.line))
    notes = [ImportNote("", f"curl's {name} is ignored") for each in commands for name in each.unknown]
    count = "a curl command" if len(words) == 1 else f"{len(words)} curl commands"
    api = ImportedAPI(
        settings.name or api_name(base),
        base or "https://api.example",
        ImportSource("curl", count),
        left=tuple(left),
        notes=tuple(notes),
    )
    return _add_tables(api, usable)


def _other_origin(request: RecordedRequest, base: str) -> str | None:
    if request.origin == base:
        return None
    return f"{request.origin} is another origin than {base}; import it on its own"


def _add_tables(api: ImportedAPI, requests: Sequence[RecordedRequest]) -> ImportedAPI:
    """A table for each request; all are sent with the credentials of the first that has some."""
    options = SecretOptions()
    tables: list[ImportedTable] = []
    notes = list(api.notes)
    auths = [auth_of_request(request, options) for request in requests]
    chosen = next((auth for auth in auths if auth is not None), None)
    for request, auth in zip(requests, auths, strict=True):
        built, params = build_request(request, chosen, options)
        paging, remaining = split_paging(params)
        name = unique_name(table_name(built.path), [each.name for each in tables])
        built = replace(built, params=remaining)
        tables.append(ImportedTable(name, built, paging=paging, line=request.line))
        if auth not in (None, chosen) and chosen is not None:
            notes.append(
                ImportNote(name, f"sent with {chosen.name} of the first command, not its own credentials")
            )
    return replace(
        api,
        options=tuple(options.options.values()),
        auths=(chosen,) if chosen is not None else (),
        tables=tuple(tables),
        notes=tuple(notes),
    )


def _is_curl(command: ShellCommand) -> bool:
    name = command.words[0].replace("\\", "/").rpartition("/")[2].lower()
    return name in ("curl", "curl.exe")


def _parse_command(command: ShellCommand) -> _CurlCommand:
    parsed = _CurlCommand(command.line)
    words = iter(command.words[1:])
    for word in words:
        for name, value in _options_of(word):
            _apply_option(parsed, name, value, words)
    return parsed


def _options_of(word: str) -> Iterator[tuple[str, str | None]]:
    """The options of a word, each with its value if the word has it: ``-sSL``, ``-XPOST``, ``--json=…``."""
    if word.startswith("--") and word != "--":
        name, equals, value = word.partition("=")
        yield name, value if equals else None
        return
    if not word.startswith("-") or word in ("-", "--"):
        yield "--url", word
        return
    letters = word[1:]
    while letters:
        name, letters = f"-{letters[0]}", letters[1:]
        if name in _VALUES or name in _IGNORED_VALUES:
            yield name, letters or None
            return
        yield name, None


def _apply_option(parsed: _CurlCommand, name: str, value: str | None, words: Iterator[str]) -> None:
    if name in ("-G", "--get"):
        parsed.as_query = True
    elif name in ("-I", "--head"):
        parsed.method = "HEAD"
    elif name in _VALUES or name in _IGNORED_VALUES:
        value = next(words, "") if value is None else value
        if name in _VALUES:
            _apply_value(parsed, _VALUES[name], value)
    elif name.startswith("--") and name not in _FLAGS and not name.startswith(("--no-", "--tlsv")):
        parsed.unknown.append(name)


def _apply_value(parsed: _CurlCommand, kind: str, value: str) -> None:
    match kind:
        case "method":
            parsed.method = value.upper()
        case "header":
            _add_header(parsed, value)
        case "user":
            parsed.user = value
        case "bearer":
            parsed.headers.append(("Authorization", f"Bearer {value}"))
        case "cookie" if "=" in value:
            parsed.headers.append(("Cookie", value))
        case "url" if "://" not in value:
            parsed.urls.append(f"https://{value}" if "." in value else value)
        case "url":
            parsed.urls.append(value)
        case "query":
            parsed.query += _encoded_pairs(value)
        case "upload":
            parsed.problem = "it uploads files or a multipart form"
        case "data" | "json" | "urlencode":
            _add_data(parsed, kind, value)


def _add_header(parsed: _CurlCommand, value: str) -> None:
    name, colon, text = value.partition(":")
    if colon and text.strip():  # "Name:" removes a header, "Name;" sends an empty one
        parsed.headers.append((name.strip(), text.strip()))


def _add_data(parsed: _CurlCommand, kind: str, value: str) -> None:
    if (value.startswith("@") and kind != "urlencode") or (
        kind == "urlencode" and "@" in value.partition("=")[0]
    ):
        parsed.problem = "its data is in a file; write it into the command"
    if kind == "urlencode":
        pairs = _encoded_pairs(value)
        value = "&".join(
            f"{quote_plus(name)}={quote_plus(text)}" if name else quote_plus(text) for name, text in pairs
        )
    parsed.data.append(value)
    parsed.is_json |= kind == "json"


def _encoded_pairs(value: str) -> list[tuple[str, str]]:
    """The name and text of ``--data-urlencode``; ``=text`` and ``text`` have no name."""
    name, equals, text = value.partition("=")
    return [(name, text)] if equals else [("", value)]


def _requests_of(command: _CurlCommand) -> Iterator[RecordedRequest]:
    data = "".join(command.data) if command.is_json else "&".join(command.data)
    params = [*command.query, *(parse_qsl(data, keep_blank_values=True) if command.as_query else [])]
    body = data if command.data and not command.as_query else None
    method = command.method or ("POST" if body is not None else "GET")
    for url in command.urls:
        parts = urlsplit(url)
        user = command.user if command.user is not None else unquote(parts.netloc.rpartition("@")[0]) or None
        username, _, password = user.partition(":") if user is not None else (None, "", None)
        yield RecordedRequest(
            *(method, url, tuple(command.headers), tuple(params), body, username, password, command.line)
        )
