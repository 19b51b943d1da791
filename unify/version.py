"""The version and the folder of the package, for modules that must not import ``unify`` itself."""

from __future__ import annotations

from pathlib import Path

VERSION = "0.1.0"
PACKAGE = Path(__file__).resolve().parent  # holds rest_specs/ when installed; a checkout has it one level up
