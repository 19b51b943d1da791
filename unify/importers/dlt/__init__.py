"""Imports dlt ``rest_api`` configurations: Python files read as literals, or the same as JSON or YAML.

    literals   values of a Python file without running it: literals, names of literals, secrets as options
    client     authentication and paginators
    resources  tables from resources

Start with resources.import_dlt. May import: importers.common, importers.model and the top-level modules.
"""
