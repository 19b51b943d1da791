"""A connection ``shop`` to a fault server, for the command."""

from __future__ import annotations

from tests.support.command import UnifyCommand
from tests.support.fault_server import FaultServer

TOKEN = "s3cret-canary"
SPEC_WITH_TOKEN = """\
name: shop
base_url: "{base_url}"
options:
  base_url: {required: true}
  token: {secret: true}
auth: {type: bearer, token: "{token}"}
paging: {type: page, page_param: page, size_param: size, size: 2}
tables:
"""
SPEC_WITHOUT_TOKEN = """\
name: shop
base_url: "{base_url}"
options: {base_url: {required: true}}
paging: {type: none}
tables:
"""


def connect_shop(unify: UnifyCommand, api: FaultServer, spec: str) -> None:
    """Write ``spec`` and a connection to ``api``; an option ``token`` is read from SHOP_TOKEN."""
    write_shop_spec(unify, spec)
    options = f"base_url: '{api.url}'"
    if "token:" in spec:
        options += ", token: '${SHOP_TOKEN}'"
        unify.environment["SHOP_TOKEN"] = TOKEN
    unify.write_connections(f"shop:\n  adapter: shop\n  options: {{{options}}}\n")


def write_shop_spec(unify: UnifyCommand, spec: str) -> None:
    """Write the spec ``shop`` into a folder that the command searches."""
    folder = unify.home / "specs"
    folder.mkdir(exist_ok=True)
    (folder / "shop.yaml").write_text(spec, encoding="utf-8")
    unify.environment["UNIFY_SPECS"] = str(folder)
