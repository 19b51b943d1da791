"""Importers: foreign descriptions of APIs become specs of ours, once, as YAML.

    command   `unify spec import`: its files, its report, its exit status
    convert   the whole import: read, select, write, check, report
    formats   finds the format of a document and calls its importer
    emit      writes the model as YAML
    report    the report, as text and JSON
    model     the model that every importer builds: API, auth offers, tables, requests, paging, leftovers
    common    documents with line numbers, names, secrets, shapes of responses, parents, paging by names
    airbyte   Airbyte declarative manifests
    openapi   OpenAPI 2 and 3 documents
    dlt       dlt rest_api configurations
    recorded  curl commands, HAR recordings and Postman collections

Start with convert.convert; command.run_import calls it for the command line. Nothing of a source is run or
fetched. May import: adapters, language, config, engine, fs and the top-level modules.
"""
