"""The environment of a load."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.stores import TABLE
from unify.config.connections import Connection
from unify.errors import ConfigError, UnknownName
from unify.load.environment import Environment, find_connection
from unify.model import ConfigPaths, TableName


class TestEnvironment:
    def test_offered_values_take_precedence_and_only_named_ones_are_passed_on(self) -> None:
        environment = Environment({"TOKEN": "old-value", "PATH": "/bin"})
        environment.update({"TOKEN": "new-value", "OTHER": "x"})
        connection = Connection("github", "github", {"token": "${TOKEN}", "org": "${MISSING}"})
        assert environment.values_for_connection(connection) == {"TOKEN": "new-value"}
        assert "new-value" not in repr(environment)

    def test_a_connection_is_read_from_the_current_file(self, tmp_path: Path) -> None:
        path = tmp_path / "connections.yaml"
        origin = ConfigPaths(str(path))
        path.write_text("github: {adapter: github}\nbad: {adaptr: x}\n")
        path.chmod(0o600)
        assert find_connection(origin, TABLE).adapter == "github"
        with pytest.raises(ConfigError, match="adapter"):
            find_connection(origin, TableName("bad", "x"))
        with pytest.raises(UnknownName, match="did you mean github"):
            find_connection(origin, TableName("githib", "x"))
        path.unlink()
        with pytest.raises(UnknownName, match="no connection github"):
            find_connection(origin, TABLE)
