"""The formats that can be imported: found from the content, and read by their importer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, get_args

from unify.errors import FileError
from unify.importers.common.documents import Json, SourceText, is_curl_text, members_of, parse_document
from unify.importers.model import ImportedAPI, ImportSettings

FormatName = Literal["airbyte", "openapi", "dlt", "postman", "har", "curl"]
FORMATS: tuple[str, ...] = get_args(FormatName)


def import_sources(
    sources: Sequence[SourceText], settings: ImportSettings, format_name: str | None
) -> ImportedAPI:
    """Read documents of one API. Raises FileError if they cannot be read or their format is unknown."""
    name = format_name or find_format(sources[0])
    match name:
        case "curl":
            from unify.importers.recorded.curl import import_curl

            return import_curl(sources, settings)
        case "har":
            from unify.importers.recorded.har import import_har

            return import_har(sources, settings)
        case "postman":
            from unify.importers.recorded.postman import import_postman

            return import_postman(sources, settings)
        case "airbyte":
            from unify.importers.airbyte.streams import import_airbyte

            return import_airbyte(sources, settings)
        case "dlt":
            from unify.importers.dlt.resources import import_dlt

            return import_dlt(sources, settings)
        case "openapi":
            from unify.importers.openapi.operations import import_openapi

            return import_openapi(sources, settings)
        case _:
            raise FileError(f"{sources[0].path}: {_UNKNOWN}")


_UNKNOWN = (
    "the format is not known; expected an Airbyte manifest, an OpenAPI document, a dlt rest_api"
    " configuration, a Postman collection, a HAR recording or a curl command (--from NAME says which)"
)


def find_format(source: SourceText) -> str:
    """Find the format of a document. Raises FileError if it is none of them."""
    if source.path.endswith(".py"):
        return "dlt"
    if source.text.lstrip()[:1] not in ("{", "[") and is_curl_text(source.text):
        return "curl"
    if _is_python(source.text):
        return "dlt"
    found = format_of_document(parse_document(source))
    if found is None:
        raise FileError(f"{source.path}: {_UNKNOWN}")
    return found


def _is_python(text: str) -> bool:
    return "import " in text and ("rest_api" in text or "RESTAPIConfig" in text)


def format_of_document(document: Json) -> str | None:
    """The format of a JSON or YAML document; None: unknown."""
    if not isinstance(document, Mapping):
        return None
    if document.get("type") == "DeclarativeSource" or {"streams", "version", "check"} <= set(document):
        return "airbyte"
    if "openapi" in document or "swagger" in document:
        return "openapi"
    if "entries" in members_of(document.get("log")):
        return "har"
    collection = members_of(document.get("collection", document))
    if "getpostman" in str(members_of(collection.get("info")).get("schema", "")) or (
        "info" in collection and "item" in collection
    ):
        return "postman"
    if "client" in document and "resources" in document:
        return "dlt"
    return None
