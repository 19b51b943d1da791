"""The registry opens the adapter of a connection."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.fault_server import FaultServer, MockResponse
from tests.support.rest_tables import decode_rows
from unify.adapters import registry
from unify.adapters.base import Listeners, Read, Traffic
from unify.config.connections import Connection
from unify.errors import (
    ConfigError,
    Unauthorized,
    UnifyError,
)

SPEC = """
name: sample
description: A sample
documentation: https://example.org
base_url: "{base_url}"
options:
  token: {description: Token, secret: true, required: true}
  base_url: {description: Address, default: "https://api.example.org"}
auth: {type: bearer, token: "{token}"}
paging: {type: none}
limits: {requests_per_second: 50}
tables:
  - name: things
    description: Things
    request: GET /things
    key: id
    refresh: {every: 1 hour}
    columns: {id: {type: bigint, description: Number}}
  - name: parts
    request: GET /things/{thing}/parts
    for_each: select id as thing from things
"""


class TestRegistry:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        (tmp_path / "sample.yaml").write_text(SPEC)
        return tmp_path

    def test_opens_the_adapter_of_a_connection(self, api: FaultServer, folder: Path) -> None:
        api.serve("/things", MockResponse.json([{"id": 1}]))
        traffic: list[Traffic] = []
        connection = Connection("mine", "sample", {"token": "${TOKEN}", "base_url": api.url})
        adapter = registry.open_adapter(
            connection,
            [folder],
            {"TOKEN": "t0ken-t0ken"},
            listeners=Listeners(traffic.append),
            limits_folder=folder / "limits",
        )
        assert decode_rows(adapter.pages("things", Read())) == [{"id": 1}]
        adapter.close()
        assert api.requests[0].headers["authorization"] == "Bearer t0ken-t0ken"
        assert [seen.address for seen in traffic] == [f"{api.url}/things"]
        assert {file.suffix for file in (folder / "limits").iterdir()} == {
            ".rate",
            ".queue",
            ".slot",
            ".wake",
            ".member",
        }

    def test_a_refusal_names_option_variable_and_line(self, api: FaultServer, folder: Path) -> None:
        api.serve("/things", MockResponse.error(401))
        options = {"token": "${TOKEN}", "base_url": api.url}
        connection = Connection("mine", "sample", options, path="c.yaml", lines={"options.token": 4})
        adapter = registry.open_adapter(connection, [folder], {"TOKEN": "t0ken-t0ken"})
        with pytest.raises(
            Unauthorized, match=r"option token of mine \(\$\{TOKEN\}, c\.yaml:4; header Authorization\)"
        ):
            list(adapter.pages("things", Read()))
        adapter.close()

    def test_describes_without_secrets_or_requests(self, folder: Path) -> None:
        connection = Connection("mine", "sample", {"token": "${NOT_SET}"}, refresh={"parts": 60.0})
        things, parts = registry.describe_adapter(connection, [folder])
        assert (things.name, things.key, things.refresh_every_s) == ("things", ("id",), 3600.0)
        assert (things.columns[0].type, things.columns[0].description) == ("bigint", "Number")
        assert (parts.parents, parts.refresh_every_s) == (("things",), 60.0)

    def test_a_missing_secret_is_an_error_before_any_request(self, folder: Path) -> None:
        connection = Connection("mine", "sample", {"token": "${NOT_SET}"})
        with pytest.raises(ConfigError, match="NOT_SET"):
            registry.check_secrets(connection, [folder], {})
        with pytest.raises(ConfigError, match="NOT_SET"):
            registry.open_adapter(connection, [folder], {})

    def test_an_invalid_address_with_a_secret_in_it_is_not_shown(self, folder: Path) -> None:
        options = {"token": "t0ken-t0ken", "base_url": "htp://t0ken-t0ken"}
        connection = Connection("mine", "sample", options)
        with pytest.raises(ConfigError, match=r"htp://\*\*\*") as caught:
            registry.open_adapter(connection, [folder], {})
        assert "t0ken" not in caught.value.message

    def test_a_spec_that_changed_is_read_again(self, folder: Path) -> None:
        connection = Connection("mine", "sample", {"token": "x"})
        assert registry.spec_of(connection, [folder]) is registry.spec_of(connection, [folder])
        (folder / "sample.yaml").write_text(
            SPEC.replace("name: things", "name: stuff").replace("from things", "from stuff")
        )
        assert registry.describe_adapter(connection, [folder])[0].name == "stuff"

    @pytest.mark.parametrize(("name", "value"), [("page_timeout", "soon"), ("connect_timeout", "0")])
    def test_timeouts_are_validated(self, folder: Path, name: str, value: str) -> None:
        connection = Connection("mine", "sample", {"token": "x", name: value})
        with pytest.raises(ConfigError, match=f"options.{name}"):
            registry.open_adapter(connection, [folder], {})

    def test_the_page_timeout_is_an_option(self, api: FaultServer, folder: Path) -> None:
        options = {"token": "x", "base_url": api.url, "page_timeout": "1s"}
        adapter = registry.open_adapter(Connection("mine", "sample", options), [folder], {})
        api.serve("/things", MockResponse.json([1], hang_at=1), MockResponse.error(400))
        with pytest.raises(UnifyError, match="returned 400"):
            list(adapter.pages("things", Read()))
        adapter.close()
