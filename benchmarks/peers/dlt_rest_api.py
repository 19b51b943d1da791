"""Load one table with dlt's ``rest_api`` source into DuckDB. Run by the interpreter of its environment.

``ADDRESS TABLE PAGE_ROWS FOLDER MODE``: ``documented`` is as its documentation sets it up; ``fastest`` stages
Parquet and makes no child tables. Imports are not timed.
"""

# mypy: ignore-errors

import json
import os
import sys
import time
from pathlib import Path

os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
os.environ["RUNTIME__LOG_LEVEL"] = "ERROR"

import dlt
import duckdb
from dlt.sources.rest_api import rest_api_source


def main(address: str, table: str, page_rows: str, folder: str, mode: str) -> None:
    source = rest_api_source(
        {
            "client": {
                "base_url": address,
                "paginator": {"type": "page_number", "base_page": 1, "total_path": "pages"},
            },
            "resources": [
                {
                    "name": table,
                    "primary_key": "id",
                    "write_disposition": "replace",
                    "endpoint": {"path": table, "params": {"size": int(page_rows)}, "data_selector": "items"},
                }
            ],
        }
    )
    database = Path(folder) / "dlt.duckdb"
    pipeline = dlt.pipeline(
        "bench",
        destination=dlt.destinations.duckdb(str(database)),
        dataset_name="bench",
        pipelines_dir=folder,
    )
    settings = {}
    if mode == "fastest":
        source.max_table_nesting = 0
        settings["loader_file_format"] = "parquet"
    began, cpu_began = time.perf_counter(), time.process_time()
    pipeline.run(source, **settings)
    seconds, cpu_s = time.perf_counter() - began, time.process_time() - cpu_began
    with duckdb.connect(str(database), read_only=True) as connection:
        rows = connection.execute(f'select count(*) from bench."{table}"').fetchone()[0]
    (Path(folder) / "result.json").write_text(json.dumps({"rows": rows, "seconds": seconds, "cpu_s": cpu_s}))


if __name__ == "__main__":
    main(*sys.argv[1:])
