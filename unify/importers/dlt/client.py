"""Authentication and paginators of dlt configurations."""

from __future__ import annotations

import re
from collections.abc import Mapping

from unify.errors import FileError
from unify.importers.common.documents import members_of, text_of
from unify.importers.common.names import literal
from unify.importers.common.secrets import is_secret_name
from unify.importers.dlt.literals import PythonLiterals, TemplateText, Value, find_code
from unify.importers.model import AuthOffer, ImportedOption, ImportedPaging, Json

_SELECTOR = re.compile(r"\$?\.?(.*)")
_STEP = re.compile(r"""\[['"]([^'"\]]+)['"]\]|\[\*\]""")
DEFAULT_SIZE = 100


def template(value: Value) -> Json:
    """A value of the configuration as a template of the spec language."""
    match value:
        case TemplateText():
            return str(value)
        case str():
            return literal(value)
        case list():
            return [template(item) for item in value]
        case Mapping():
            return {str(key): template(item) for key, item in value.items()}
        case _:
            return value


def path_of_selector(selector: str) -> str:
    """A JSON path as a dotted path: ``$.data[*].items`` is ``data.items``. Raises ValueError for others."""
    text = selector.strip()
    text = _STEP.sub(lambda found: f".{found[1]}" if found[1] else "", text)
    text = text.removeprefix("$").strip(".")
    if any(mark in text for mark in ("..", "[", "?", "*", "(", "'", " ", "{")):
        raise ValueError(f"the selector {selector} is more than a path")
    return text


class ClientReader:
    """Reads ``client``; secrets that stand in the file become options."""

    def __init__(self, options: dict[str, ImportedOption]) -> None:
        self._options = options

    def auth(self, value: Value) -> AuthOffer | str | None:
        """The authentication; or why it cannot be imported."""
        if value is None:
            return None
        if code := find_code(value):
            return f"authentication by Python: {code.text}"
        settings = members_of(value)
        kind = text_of(settings.get("type")) or ("bearer" if "token" in settings else "")
        match kind:
            case "bearer":
                return AuthOffer("bearer", {"type": "bearer", "token": self._secret(settings, "token")})
            case "http_basic":
                username = self._plain(settings, "username")
                password = self._secret(settings, "password")
                return AuthOffer("basic", {"type": "basic", "username": username, "password": password})
            case "api_key":
                return self._api_key(settings)
            case "oauth2_client_credentials":
                return self._oauth(settings)
            case _:
                return f"authentication {kind or value!r} is not known"

    def _api_key(self, settings: Mapping[str, Value]) -> AuthOffer:
        name = text_of(settings.get("name")) or "Authorization"
        place = text_of(settings.get("location")) or "header"
        value = self._secret(settings, "api_key")
        found = {"type": "api_key", "name": name, "value": value}
        return AuthOffer("api_key", found if place == "header" else {**found, "in": place})

    def _oauth(self, settings: Mapping[str, Value]) -> AuthOffer:
        found: dict[str, Json] = {
            "type": "oauth2",
            "grant": "client_credentials",
            "token_url": template(settings.get("access_token_url")) or "",
            "client_id": self._plain(settings, "client_id"),
            "client_secret": self._secret(settings, "client_secret"),
        }
        extra = members_of(settings.get("access_token_request_data"))
        if extra:
            found["extra"] = {name: str(template(text)) for name, text in extra.items()}
        return AuthOffer("oauth2", found)

    def _secret(self, settings: Mapping[str, Value], name: str) -> str:
        """The option of a secret; a value in the file is not taken."""
        value = settings.get(name)
        if isinstance(value, TemplateText):
            for each in re.findall(r"\{(\w+)\}", value):
                known = self._options.get(each)
                if known is not None:
                    self._options[each] = ImportedOption(each, known.description, None, True, True)
            return str(value)
        self._options.setdefault(name, ImportedOption(name, f"{name} of the API", None, True, True))
        return f"{{{name}}}"

    def _plain(self, settings: Mapping[str, Value], name: str) -> str:
        value = settings.get(name)
        if isinstance(value, TemplateText):
            return str(value)
        self._options.setdefault(name, ImportedOption(name, f"{name} of the API", None, False, True))
        return f"{{{name}}}"


def hide_secrets(values: Mapping[str, Value], options: dict[str, ImportedOption]) -> dict[str, Json]:
    """Headers or parameters; those with names of secrets become options."""
    found: dict[str, Json] = {}
    for name, value in values.items():
        if is_secret_name(name) and isinstance(value, str) and not isinstance(value, TemplateText):
            option = re.sub(r"\W+", "_", name).strip("_").lower() or "secret"
            options.setdefault(option, ImportedOption(option, f"Value of {name}", None, True, True))
            found[name] = f"{{{option}}}"
        else:
            found[name] = template(value)
    return found


def paging_of(value: Value) -> ImportedPaging | None:
    """The paging of a paginator; None: found out when the table is read. Raises ValueError."""
    if value is None or value == "auto":
        return None
    if code := find_code(value):
        raise ValueError(f"a paginator in Python: {code.text}")
    settings = {"type": value} if isinstance(value, str) else dict(members_of(value))
    match text_of(settings.get("type")):
        case "auto":
            return None
        case "single_page":
            return ImportedPaging("none")
        case "header_link":
            return ImportedPaging("link_header")
        case "json_link" | "json_response":
            return ImportedPaging(
                "next_url", path=path_of_selector(str(settings.get("next_url_path", "next")))
            )
        case "cursor":
            path = path_of_selector(str(settings.get("cursor_path", "cursors.next")))
            param = settings.get("cursor_param") or "cursor"
            in_body = settings.get("cursor_body_path")
            if in_body:
                raise ValueError("a cursor in the body of the request")
            return ImportedPaging("cursor", cursor_param=str(param), cursor_path=path)
        case "header_cursor":
            param, header = settings.get("cursor_param") or "cursor", settings.get("cursor_key") or "next"
            return ImportedPaging("cursor", cursor_param=str(param), cursor_header=str(header))
        case "page_number":
            return _page_number(settings)
        case "offset":
            return _offset(settings)
        case other:
            raise ValueError(f"the paginator {other or value!r} is not known")


def _page_number(settings: Mapping[str, Value]) -> ImportedPaging:
    first = settings.get("base_page", 0)
    total, limit = settings.get("total_path", "total"), settings.get("maximum_page")
    if first not in (0, 1):
        raise ValueError(f"pages that begin at {first}")
    return ImportedPaging(
        "page",
        page_param=str(settings.get("page_param") or "page"),
        first=0 if first == 0 else None,
        pages_path=path_of_selector(total) if isinstance(total, str) and "total_path" in settings else None,
        max_pages=limit if isinstance(limit, int) else None,
    )


def _offset(settings: Mapping[str, Value]) -> ImportedPaging:
    first, limit = settings.get("offset", 0), settings.get("limit", DEFAULT_SIZE)
    total, maximum = settings.get("total_path", "total"), settings.get("maximum_offset")
    if first not in (0, 1, None):
        raise ValueError(f"rows that begin at {first}")
    size = limit if isinstance(limit, int) else DEFAULT_SIZE
    pages = -(-maximum // size) if isinstance(maximum, int) and maximum > 0 else None
    return ImportedPaging(
        "offset",
        offset_param=str(settings.get("offset_param") or "offset"),
        size_param=str(settings.get("limit_param") or "limit"),
        size=size,
        first=1 if first == 1 else None,
        total_path=path_of_selector(total) if isinstance(total, str) and "total_path" in settings else None,
        max_pages=pages,
    )


def read_configurations(literals: PythonLiterals, path: str) -> list[Mapping[str, Value]]:
    """The configurations of a Python file. Raises FileError if there are none."""
    found: list[Mapping[str, Value]] = list(literals.configurations())
    if not found:
        raise FileError(f"{path}: no dictionary with client and resources found")
    return found
