"""The actions of ext/github/actions, their steps run as a shell of GitHub's runner runs them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from msgspec import Struct

from tests.support.command import UnifyCommand, clean_environment
from tests.support.fault_server import FaultServer, MockResponse
from tests.support.paths import CHECKOUT
from tests.support.shop import SPEC_WITHOUT_TOKEN, connect_shop

ACTIONS = CHECKOUT / "ext" / "github" / "actions"
NAMES = ("export", "load", "query", "setup")
EXPRESSION = re.compile(r"\$\{\{ (inputs|github|steps)\.([\w.-]+) \}\}")
SPEC = SPEC_WITHOUT_TOKEN + "  - {name: orders, request: GET /orders, key: id}\n"

pytestmark = pytest.mark.process


class StepResult(Struct, frozen=True):
    """How the step of an action ended, and the files that it wrote for the runner."""

    status: int
    log: str
    outputs: Mapping[str, str]
    summary: str = ""
    environment: Mapping[str, str] = {}
    path: str = ""


def read_action(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ACTIONS / name / "action.yml").read_text("utf-8"))
    return found


def run_action(name: str, folder: Path, environment: Mapping[str, str], **inputs: str) -> StepResult:
    """Run the step of an action; ``inputs`` have underscores for hyphens."""
    action = read_action(name)
    given = {key.replace("_", "-"): value for key, value in inputs.items()}
    assert set(given) <= set(action["inputs"])
    values = {key: given.get(key, str(about.get("default", ""))) for key, about in action["inputs"].items()}

    def evaluate(match: re.Match[str]) -> str:
        return values[match[2]] if match[1] == "inputs" else str(ACTIONS / name)

    [step] = action["runs"]["steps"]
    assert step["shell"] == "bash"
    files = {kind: folder / kind for kind in ("OUTPUT", "STEP_SUMMARY", "ENV", "PATH")}
    for path in files.values():
        path.write_text("")
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],  # as the runner does
        env={
            **environment,
            **{key: EXPRESSION.sub(evaluate, value) for key, value in step["env"].items()},
            **{f"GITHUB_{kind}": str(path) for kind, path in files.items()},
            "RUNNER_TEMP": str(folder),
        },
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
    )
    texts = {kind: path.read_text("utf-8") for kind, path in files.items()}
    return StepResult(
        done.returncode,
        done.stdout + done.stderr,
        read_values(texts["OUTPUT"]),
        texts["STEP_SUMMARY"],
        read_values(texts["ENV"]),
        texts["PATH"].strip(),
    )


def read_values(text: str) -> Mapping[str, str]:
    """Parse ``name=value`` lines and values between delimiters, as the runner does."""
    found: dict[str, str] = {}
    lines = iter(text.splitlines())
    for line in lines:
        name, separator, rest = re.split(r"(<<|=)", line, maxsplit=1)
        if separator == "=":
            found[name] = rest
        else:
            parts = []
            while (part := next(lines)) != rest:
                parts.append(part)
            found[name] = "\n".join(parts)
    return found


@pytest.fixture
def environment(home: Path) -> Mapping[str, str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**clean_environment(home), "PATH": path}


@pytest.mark.parametrize("name", NAMES)
def test_no_input_is_part_of_a_script_and_every_output_is_of_a_step(name: str) -> None:
    action = read_action(name)
    assert action["description"]
    assert action["runs"]["using"] == "composite"
    [step] = action["runs"]["steps"]
    assert "${{" not in step["run"]  # GitHub would put the text of an input into the script
    assert step["run"].startswith("set -euo pipefail\n")
    assert all(EXPRESSION.fullmatch(value) for value in step["env"].values())
    for about in action["outputs"].values():
        match = EXPRESSION.fullmatch(about["value"])
        assert match is not None
        assert match[2].startswith(f"{step['id']}.outputs.")
    assert all(about["description"] for part in ("inputs", "outputs") for about in action[part].values())


def test_a_query_gives_rows_value_and_count(tmp_path: Path, environment: Mapping[str, str]) -> None:
    sql = (
        "create table t as select 1 as a; "
        "select 12345678901234567890.50 as n, 'a\nunify_b<<c' as s, [1, null] as l, true as b from t"
    )
    done = run_action("query", tmp_path, environment, sql=sql, summary="Rows | <b>")
    assert done.status == 0, done.log
    assert done.outputs["value"] == "12345678901234567890.50"
    assert done.outputs["count"] == "1"
    assert '"n": 12345678901234567890.50' in done.outputs["rows"]
    row = {"n": 12345678901234567890.50, "s": "a\nunify_b<<c", "l": [1, None], "b": True}
    assert json.loads(done.outputs["rows"]) == [row]
    assert "### Rows \\| &lt;b>" in done.summary
    assert "| 12345678901234567890.50 | a unify\\_b&lt;&lt;c | \\[1, null\\] | true |" in done.summary
    assert [one.name for one in tmp_path.glob("unify-rows*")] == []


@pytest.mark.parametrize(
    ("inputs", "status", "message"),
    [
        ({"sql": "select * from nosuch"}, 1, "table nosuch does not exist"),
        ({}, 2, "::error::query: give either sql or file"),
        ({"sql": "select 1", "file": "a.sql"}, 2, "give either sql or file"),
        ({"sql": "select '$(touch pwned)' as a, '`touch pwned`' as b, '\"; touch pwned; \"' as c"}, 0, ""),
        ({"sql": "select repeat('x', 1000001) as a"}, 1, "::error::query: the rows have "),
    ],
)
def test_a_query_that_fails_says_why(
    tmp_path: Path, environment: Mapping[str, str], inputs: Mapping[str, str], status: int, message: str
) -> None:
    done = run_action("query", tmp_path, environment, **inputs)
    assert done.status == status, done.log
    assert message in done.log
    assert not (tmp_path / "pwned").exists()
    assert bool(done.outputs) is (status == 0)


def test_a_statement_without_rows_has_empty_outputs(tmp_path: Path, environment: Mapping[str, str]) -> None:
    (tmp_path / "a.sql").write_text("select 1 as a where false")
    done = run_action("query", tmp_path, environment, file="a.sql", summary="None")
    assert done.outputs == {"rows": "[]", "value": "", "count": "0"}
    assert "no rows" in done.summary


@pytest.mark.slow
def test_tables_are_loaded_and_a_failed_load_fails_the_step(
    unify: UnifyCommand, environment: Mapping[str, str], tmp_path: Path, api: FaultServer
) -> None:
    connect_shop(unify, api, SPEC + "  - {name: gone, request: GET /gone}\n")
    api.serve("/orders", MockResponse.json([{"id": 1}, {"id": 2}]))
    api.serve("/gone", MockResponse(status=400))
    variables = {**environment, "UNIFY_SPECS": unify.environment["UNIFY_SPECS"]}
    variables["UNIFY_CONNECTIONS"] = str(unify.home / "connections.yaml")
    done = run_action("load", tmp_path, variables, tables="shop.orders\nshop.gone\n")
    assert done.status == 1, done.log
    loads = {one["table"]: one for one in json.loads(done.outputs["loads"])}
    assert loads["shop.orders"]["status"] == "success"
    assert loads["shop.orders"]["rows_written"] == 2
    assert loads["shop.gone"]["status"] == "failed"


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"tables": "shop.orders;select"}, "shop.orders;select is not a table"),
        ({"tables": " "}, "tables is empty"),
        ({"tables": "shop.orders", "action": "clear"}, "action is load, refresh or reload, not clear"),
    ],
)
def test_other_texts_are_no_tables(
    tmp_path: Path, environment: Mapping[str, str], inputs: Mapping[str, str], message: str
) -> None:
    done = run_action("load", tmp_path, environment, **inputs)
    assert (done.status, done.outputs) == (2, {})
    assert message in done.log


def test_rows_are_exported_to_a_file(tmp_path: Path, environment: Mapping[str, str]) -> None:
    done = run_action("export", tmp_path, environment, sql="select 1 as a, 'x' as b", to="out/my rows.csv")
    assert done.status == 0, done.log
    path = tmp_path / "out" / "my rows.csv"
    assert path.read_text() == "a,b\n1,x\n"
    assert done.outputs == {"path": str(path), "bytes": "8"}
    failed = run_action("export", tmp_path, environment, sql="selekt", to="out/my rows.csv")
    assert (failed.status, failed.outputs) == (1, {})
    assert path.read_text() == "a,b\n1,x\n"


@pytest.mark.slow
def test_the_set_up_installs_the_command(tmp_path: Path, environment: Mapping[str, str]) -> None:
    (tmp_path / "connections.yaml").write_text("{}")
    done = run_action("setup", tmp_path, environment, package=str(CHECKOUT), connections="connections.yaml")
    assert done.status == 0, done.log
    assert done.environment["UNIFY_HOME"] == done.outputs["home"] == str(tmp_path / "unify-home")
    assert done.environment["UNIFY_CONNECTIONS"] == str(tmp_path / "connections.yaml")
    later = {**environment, **done.environment, "PATH": f"{done.path}{os.pathsep}{environment['PATH']}"}
    found = run_action("query", tmp_path, later, sql="select 1 as a")
    assert found.outputs["value"] == "1", found.log
    assert re.fullmatch(r"\d+\.\d+\.\d+.*", done.outputs["version"])
