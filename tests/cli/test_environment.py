"""Settings from the environment and the command line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from unify.cli import args
from unify.cli.environment import apply_limits, build_settings
from unify.config.settings import Settings
from unify.errors import UsageError


class TestEnvironment:
    @pytest.fixture
    def settings(self, tmp_path: Path) -> Settings:
        return Settings(tmp_path, tmp_path / "connections.yaml")

    def test_sets_the_limits(self, settings: Settings) -> None:
        values = {"UNIFY_WORKERS": "8", "UNIFY_WORKER_MEMORY": "1.5 GB", "UNIFY_IDLE_EXIT": "30 minutes"}
        limited = apply_limits(settings, {**values, "UNIFY_HISTORY": "2 days"})
        assert limited.history_retention_s == 2 * 86_400
        assert (limited.workers, limited.worker_memory_bytes, limited.idle_timeout_s) == (
            8,
            1536 * 1024**2,
            1800,
        )

    @pytest.mark.parametrize("values", [{}, {"UNIFY_IDLE_EXIT": "never"}, {"UNIFY_WORKERS": ""}])
    def test_without_values_keeps_the_defaults(self, settings: Settings, values: Mapping[str, str]) -> None:
        assert apply_limits(settings, values) == settings

    @pytest.mark.parametrize(
        "values",
        [
            {"UNIFY_WORKERS": "0"},
            {"UNIFY_WORKERS": "many"},
            {"UNIFY_WORKERS": "1000"},
            {"UNIFY_WORKER_MEMORY": "2"},
            {"UNIFY_WORKER_MEMORY": "10 MB"},
            {"UNIFY_IDLE_EXIT": "soon"},
            {"UNIFY_HISTORY": "for ever"},
        ],
    )
    def test_with_invalid_values_is_explained(self, settings: Settings, values: Mapping[str, str]) -> None:
        [(name, text)] = values.items()
        with pytest.raises(UsageError, match=f"{name}={text}"):
            apply_limits(settings, values)


def test_paths_of_the_command_line_precede_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "specs").mkdir()
    environment = {
        "UNIFY_HOME": "/env/home",
        "UNIFY_CONNECTIONS": "/env/c.yaml",
        "UNIFY_SPECS": "/env/a:/env/b",
    }

    plain = build_settings(args.parse_arguments([]), {"UNIFY_HOME": "/env/home"})
    from_environment = build_settings(args.parse_arguments([]), environment)
    (tmp_path / "connections.yaml").touch()
    settings = build_settings(
        args.parse_arguments(
            ["--home", "h", "--specs", "specs", "--connections", "connections.yaml", "--tenant", "acme"]
        ),
        environment,
    )

    assert plain.connections == Path("/env/home/connections.yaml")
    assert (from_environment.home, from_environment.connections) == (Path("/env/home"), Path("/env/c.yaml"))
    assert settings.home == tmp_path / "h" / "tenants" / "acme"
    assert settings.connections == tmp_path / "connections.yaml"
    assert settings.specs == (tmp_path / "specs", Path("/env/a"), Path("/env/b"))
    assert (
        build_settings(args.parse_arguments([]), {"UNIFY_HOME": "h"}).connections
        == tmp_path / "connections.yaml"
    )


@pytest.fixture
def without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove HOME and use a user id that is not in the password database, as in containers."""
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setattr("pwd.getpwuid", lambda uid: {}[uid])


@pytest.mark.usefixtures("without_a_home")
def test_without_a_home_folder_the_message_names_the_ways_to_set_one() -> None:
    with pytest.raises(UsageError) as raised:
        build_settings(args.parse_arguments([]), {})

    for name in ("HOME", "UNIFY_HOME", "--home"):
        assert name in raised.value.message


@pytest.mark.usefixtures("without_a_home")
def test_without_a_home_folder_a_configured_one_is_used(tmp_path: Path) -> None:
    assert build_settings(args.parse_arguments([]), {"UNIFY_HOME": str(tmp_path)}).home == tmp_path
    with pytest.raises(UsageError, match=r"--specs ~/specs: .*HOME"):
        build_settings(args.parse_arguments(["--specs", "~/specs"]), {"UNIFY_HOME": str(tmp_path)})


def test_in_a_deleted_folder_only_absolute_paths_are_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deleted = tmp_path / "deleted"
    deleted.mkdir()
    monkeypatch.chdir(deleted)
    deleted.rmdir()

    settings = build_settings(args.parse_arguments([]), {"UNIFY_HOME": str(tmp_path)})
    assert (settings.home, settings.connections) == (tmp_path, tmp_path / "connections.yaml")
    for option in ("--home", "--connections", "--specs"):
        with pytest.raises(UsageError, match=f"{option} x: the current folder no longer exists"):
            build_settings(args.parse_arguments([option, "x"]), {"UNIFY_HOME": str(tmp_path)})
