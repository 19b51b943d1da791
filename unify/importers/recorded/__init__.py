"""Importers of single requests: commands, recordings and collections.

    requests         recorded requests: headers, credentials and bodies without their secrets
    shell_words      words of shell commands
    curl             curl commands
    har              HAR recordings of browsers
    recorded_paging  pagination from two recorded requests
    postman          Postman collections
    postman_values   variables and credentials of Postman collections

Start with curl.import_curl. May import: importers.common, importers.model and the top-level modules.
"""
