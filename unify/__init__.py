"""SQL over the systems a team works with.

What programs and adapters import from here is looked up when it is first used: starting must stay quick.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unify.version import VERSION as __version__  # noqa: N811 - the name that programs look for

if TYPE_CHECKING:
    from unify.adapters.base import Adapter, Check, Listeners, Page, Read, Traffic
    from unify.adapters.rest.adapter import RESTAdapter
    from unify.adapters.spec.model import Option
    from unify.config.connections import Connection
    from unify.config.secrets import Secret
    from unify.interpreter.interpreter import Interpreter
    from unify.load.loader import TableLoader
    from unify.model import Column, LoaderJob, LoaderStatus, TableDef

_LAZY_EXPORTS = {
    "Adapter": "unify.adapters.base",
    "Check": "unify.adapters.base",
    "Column": "unify.model",
    "Connection": "unify.config.connections",
    "Interpreter": "unify.interpreter.interpreter",
    "Listeners": "unify.adapters.base",
    "LoaderJob": "unify.model",
    "LoaderStatus": "unify.model",
    "Option": "unify.adapters.spec.model",
    "Page": "unify.adapters.base",
    "RESTAdapter": "unify.adapters.rest.adapter",
    "Read": "unify.adapters.base",
    "Secret": "unify.config.secrets",
    "TableDef": "unify.model",
    "TableLoader": "unify.load.loader",
    "Traffic": "unify.adapters.base",
}

__all__ = [
    "Adapter",
    "Check",
    "Column",
    "Connection",
    "Interpreter",
    "Listeners",
    "LoaderJob",
    "LoaderStatus",
    "Option",
    "Page",
    "RESTAdapter",
    "Read",
    "Secret",
    "TableDef",
    "TableLoader",
    "Traffic",
    "__version__",
]


def __getattr__(name: str) -> Any:
    """PEP 562: import what is asked for, now."""
    if name not in _LAZY_EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_LAZY_EXPORTS[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
