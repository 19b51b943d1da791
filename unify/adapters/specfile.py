"""Adapter specs on disk: where they are, and what they say once every mistake is ruled out."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import unify
from unify import yamlfile
from unify.adapters import specbuild, speccheck
from unify.adapters.spec import AdapterSpec
from unify.adapters.speckeys import SPEC
from unify.adapters.specreader import MISSING, Json, Missing, Report, read
from unify.errors import Problem, SpecError, UnknownName
from unify.text import counted, did_you_mean


def load_spec(path: Path) -> AdapterSpec:
    """The spec in ``path``, checked.

    Raises  SpecError with every mistake in ``problems``, in file order; its message lists them, a line each.
            ConfigError where the file cannot be read at all.
    """
    spec, problems = examine(path)
    if problems:
        lines = "\n".join(str(problem) for problem in problems)
        raise SpecError(lines, problems=tuple(problems))
    return spec


def examine(path: Path) -> tuple[AdapterSpec, list[Problem]]:
    """The spec as far as it can be read, and every mistake in it, in file order."""
    document = yamlfile.read(path)
    report = Report(document.path)
    values: Json | Missing = MISSING
    if document.root is not None:
        values = read(SPEC, document.root, (), report)
    elif not document.flaws:
        report.add((), "the file is empty; a spec begins with name, base_url and tables")
    for flaw in document.flaws:
        report.add_flaw(flaw)
    spec = specbuild.build(values, report)
    if values is not MISSING:
        spec = speccheck.check(spec, report)
    return spec, sorted(dict.fromkeys(report.problems), key=lambda problem: (problem.line, problem.column))


@cache
def bundled_specs() -> Path:
    """The folder of the specs that come with Unify: inside the wheel, or beside the package in a checkout."""
    package = Path(unify.__file__).resolve().parent
    inside = package / "rest_specs"
    return inside if inside.is_dir() else package.parent / "rest_specs"


def find_spec(adapter: str, folders: Sequence[Path]) -> Path:
    """The file that describes ``adapter``: the first of ``folders`` that has it, then the bundled ones.

    Raises  UnknownName with the nearest name there is.
    """
    places = (*folders, bundled_specs())
    if adapter == Path(adapter).name:  # a name, and no path to somewhere else
        for folder in places:
            if (file := folder / f"{adapter}.yaml").is_file():
                return file
    known = known_specs(folders)
    hint = did_you_mean(adapter, known) or f"; there are {', '.join(sorted(known)) or 'none'}"
    looked = ", ".join(str(folder) for folder in places)
    raise UnknownName(f"no adapter {adapter}{hint} ({counted(len(known), 'spec')} in {looked})")


def known_specs(folders: Sequence[Path]) -> dict[str, Path]:
    """The file of every adapter there is, by name; the first of ``folders`` before the bundled ones."""
    known: dict[str, Path] = {}
    for folder in (*folders, bundled_specs()):
        for file in _specs(folder):
            known.setdefault(file.stem, file)
    return known


def _specs(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.yaml")) if folder.is_dir() else []
