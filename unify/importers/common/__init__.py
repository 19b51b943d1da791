"""What several importers need.

    documents     reads text, JSON and YAML with line numbers
    names         names and texts of specs
    secrets       which values are secrets
    shapes        the structure of a response, from an example or a schema: its rows and their key
    path_parents  parents of tables with an id in their path
    query_paging  pagination by names of query parameters

May import: model and the top-level modules.
"""
