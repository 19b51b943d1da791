"""Print one table's records with Airbyte's declarative CDK. Run by the interpreter of its environment.

``ADDRESS TABLE PAGE_ROWS FOLDER``: the records go to standard output and nowhere else. Imports are not timed.
"""

# mypy: ignore-errors

import json
import sys
import time
from pathlib import Path

from airbyte_cdk.cli.source_declarative_manifest._run import create_declarative_source
from airbyte_cdk.entrypoint import launch


def main(address: str, table: str, page_rows: str, folder: str) -> None:
    config, catalog = Path(folder) / "config.json", Path(folder) / "catalog.json"
    config.write_text(
        json.dumps({"__injected_declarative_manifest": manifest(address, table, int(page_rows))})
    )
    catalog.write_text(json.dumps(configured(table)))
    words = ["read", "--config", str(config), "--catalog", str(catalog)]
    began, cpu_began = time.perf_counter(), time.process_time()
    launch(create_declarative_source(words), words)
    seconds, cpu_s = time.perf_counter() - began, time.process_time() - cpu_began
    sys.stdout.flush()
    (Path(folder) / "result.json").write_text(json.dumps({"seconds": seconds, "cpu_s": cpu_s}))


def manifest(address: str, table: str, page_rows: int) -> dict:
    stream = {
        "type": "DeclarativeStream",
        "name": table,
        "primary_key": ["id"],
        "schema_loader": {
            "type": "InlineSchemaLoader",
            "schema": {"type": "object", "additionalProperties": True, "properties": {}},
        },
        "retriever": {
            "type": "SimpleRetriever",
            "requester": {
                "type": "HttpRequester",
                "url_base": address,
                "path": f"/{table}",
                "http_method": "GET",
            },
            "record_selector": {
                "type": "RecordSelector",
                "extractor": {"type": "DpathExtractor", "field_path": ["items"]},
            },
            "paginator": {
                "type": "DefaultPaginator",
                "page_token_option": {
                    "type": "RequestOption",
                    "inject_into": "request_parameter",
                    "field_name": "page",
                },
                "page_size_option": {
                    "type": "RequestOption",
                    "inject_into": "request_parameter",
                    "field_name": "size",
                },
                "pagination_strategy": {
                    "type": "PageIncrement",
                    "start_from_page": 1,
                    "page_size": page_rows,
                    "inject_on_first_request": True,
                },
            },
        },
    }
    return {
        "version": "7.0.0",
        "type": "DeclarativeSource",
        "check": {"type": "CheckStream", "stream_names": [table]},
        "streams": [stream],
        "spec": {
            "type": "Spec",
            "connection_specification": {"type": "object", "additionalProperties": True, "properties": {}},
        },
    }


def configured(table: str) -> dict:
    stream = {"name": table, "json_schema": {}, "supported_sync_modes": ["full_refresh"]}
    return {
        "streams": [
            {"stream": stream, "sync_mode": "full_refresh", "destination_sync_mode": "overwrite"},
        ]
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
