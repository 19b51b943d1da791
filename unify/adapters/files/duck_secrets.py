"""Secrets of DuckDB: those of a connection, and those that keep it from every other address."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from unify.adapters.relation import HIDDEN_PREFIX

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

CLOSED_PREFIX = f"{HIDDEN_PREFIX}closed_"
_NOWHERE = "127.0.0.1:9"  # the port "discard": nothing listens there
_SERVER: Mapping[str, object] = {"ENDPOINT": _NOWHERE, "URL_STYLE": "path", "USE_SSL": False}
# Shorter than every path, so that secrets of connections and of the user are preferred.
_CLOSED: Mapping[str, tuple[tuple[str, Mapping[str, object]], ...]] = {
    "httpfs": (
        ("s3", {**_SERVER, "SCOPE": ["s3:", "s3a:", "s3n:"]}),
        ("gcs", {**_SERVER, "SCOPE": ["gcs:", "gs:"]}),
        ("r2", {**_SERVER, "SCOPE": ["r2:"]}),
        ("http", {"HTTP_PROXY": f"http://{_NOWHERE}", "SCOPE": ["http:", "https:", "hf:"]}),
    ),
    "azure": (
        (
            "azure",
            {
                "CONNECTION_STRING": "DefaultEndpointsProtocol=http;AccountName=none;AccountKey=bm9uZQ==;"
                f"BlobEndpoint=http://{_NOWHERE}/none",
                "SCOPE": ["azure:", "az:", "abfss:"],
            },
        ),
    ),
}


def create_secret(duck: DuckDBPyConnection, name: str, options: Mapping[str, object]) -> None:
    """Create a secret of this process; values are parameters, so that no text or log has them."""
    given = {key: value for key, value in options.items() if value is not None}
    kind = given.pop("TYPE")
    settings = ", ".join(f"{key} ${key.lower()}" for key in given)
    parameters = {key.lower(): value for key, value in given.items()}
    duck.execute(f'CREATE OR REPLACE TEMPORARY SECRET "{name}" (TYPE {kind}, {settings})', parameters)


def close_other_addresses(duck: DuckDBPyConnection, extension: str) -> None:
    """Lead every address that no secret names to nowhere, instead of to the public one of its kind.

    DuckDB would ask Amazon for a bucket without a secret, and tell it the name.
    """
    for kind, options in _CLOSED[extension]:
        create_secret(duck, f"{CLOSED_PREFIX}{kind}", {"TYPE": kind, **options})
