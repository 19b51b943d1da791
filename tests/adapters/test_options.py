"""Options of a connection: defaults, references to variables, unknown and missing names."""

from __future__ import annotations

import pytest

from tests.support.paths import GITHUB_SPEC
from unify.adapters.options import check_options, resolve_spec_options
from unify.adapters.spec.loader import load_spec
from unify.config.connections import Connection
from unify.config.secrets import Secret
from unify.errors import ConfigError


def connection(**options: str) -> Connection:
    return Connection("gh", "github", options, lines={"options": 2, "options.tokn": 3})


def test_defaults_and_references_of_options_are_resolved() -> None:
    values = resolve_spec_options(
        connection(token="${T}", org="duckdb"), load_spec(GITHUB_SPEC), {"T": "canary"}
    )

    assert {name: values[name] for name in ("token", "org", "user", "base_url")} == {
        "token": Secret("canary"),
        "org": "duckdb",
        "user": None,
        "base_url": "https://api.github.com",
    }


def test_unknown_and_missing_options_are_named() -> None:
    with pytest.raises(ConfigError) as caught:
        check_options(connection(tokn="x"), load_spec(GITHUB_SPEC))

    assert str(caught.value).splitlines() == [
        "connections.yaml:3: gh.options.tokn: unknown option; did you mean token?",
        "connections.yaml:2: gh.options: the option token is missing: "
        "Personal access token with the scopes repo and read:org",
    ]


def test_a_refresh_of_an_unknown_table_is_named() -> None:
    wrong = Connection("gh", "github", {"token": "x"}, {"puls": 60.0})

    with pytest.raises(ConfigError, match=r"gh\.refresh\.puls: unknown table puls; did you mean pulls\?"):
        check_options(wrong, load_spec(GITHUB_SPEC))
