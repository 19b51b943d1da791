"""Load one table with unifydb 0.2.3 into DuckDB. Run by the interpreter of its environment.

``ADDRESS TABLE PAGE_ROWS FOLDER``: its table scan, without its queue and its daemon. Imports are not timed.
It cannot store lists of objects and leaves out those columns.
"""

# mypy: ignore-errors

import inspect
import json
import os
import sys
import time
from collections import namedtuple
from pathlib import Path

os.environ["UNIFY_HOME"] = sys.argv[4]
os.environ["DATABASE_BACKEND"] = "duckdb"

if not hasattr(inspect, "getargspec"):  # one of its libraries uses a function that Python 3.11 has removed
    ArgSpec = namedtuple("ArgSpec", "args varargs keywords defaults")
    inspect.getargspec = lambda function: ArgSpec(*inspect.getfullargspec(function)[:4])

from unify.connectors import Connection
from unify.db_wrapper import TableHandle, dbmgr
from unify.rest_connector import RESTConnector
from unify.sqla_storage_manager import UnifyDBStorageManager

from unify.loading import InitialTableLoad, LoaderJob, TableLoader, TableMgr


def main(address: str, table: str, page_rows: str, folder: str) -> None:
    spec = {
        "name": "bench",
        "base_url": address,
        "auth": {"type": "NONE"},
        "paging": {
            "strategy": "pageAndCount",
            "page_param": "page",
            "count_param": "size",
            "page_size": int(page_rows),
        },
        "tables": [
            {
                "name": table,
                "resource_path": f"/{table}",
                "supports_paging": True,
                "result_body_path": "items",
            }
        ],
    }
    with dbmgr() as database:
        connector = RESTConnector(spec, UnifyDBStorageManager("bench", database), "bench")
        loader = TableLoader(given_connections=[Connection(connector, "bench", {"options": {}})])
        manager = TableMgr("bench", connector, connector.tables[0])
        job = LoaderJob("", LoaderJob.ACTION_LOAD_TABLE, TableHandle(table, schema="bench"))
        began, cpu_began = time.perf_counter(), time.process_time()
        InitialTableLoad(tableMgr=manager, tableLoader=loader, job=job).run()
        seconds, cpu_s = time.perf_counter() - began, time.process_time() - cpu_began
        rows = int(database.execute(f"select count(*) as n from bench.{table}")["n"][0])
    (Path(folder) / "result.json").write_text(json.dumps({"rows": rows, "seconds": seconds, "cpu_s": cpu_s}))


if __name__ == "__main__":
    main(*sys.argv[1:])
