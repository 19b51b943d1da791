"""SQL over the systems a team works with.

What programs and adapters import from here is looked up when it is first used: starting must stay quick.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unify.adapters.base import Adapter, Check, Listeners, Page, Read, Traffic
    from unify.adapters.rest import RESTAdapter
    from unify.adapters.spec import Option
    from unify.connections import Connection
    from unify.interpreter.interpreter import Interpreter
    from unify.loading.loader import TableLoader
    from unify.model import Column, LoaderJob, LoaderStatus, TableDef
    from unify.secrets import Secret

__version__ = "0.1.0"

_HOMES = {
    "Adapter": "unify.adapters.base",
    "Check": "unify.adapters.base",
    "Column": "unify.model",
    "Connection": "unify.connections",
    "Interpreter": "unify.interpreter.interpreter",
    "Listeners": "unify.adapters.base",
    "LoaderJob": "unify.model",
    "LoaderStatus": "unify.model",
    "Option": "unify.adapters.spec",
    "Page": "unify.adapters.base",
    "RESTAdapter": "unify.adapters.rest",
    "Read": "unify.adapters.base",
    "Secret": "unify.secrets",
    "TableDef": "unify.model",
    "TableLoader": "unify.loading.loader",
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
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
