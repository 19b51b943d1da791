"""Jinja texts of manifests, without a template engine: parsed with a grammar of our own, then folded.

    nodes    the parsed expression and template
    parser   texts to nodes, with expression.lark
    values   what an expression is, as far as the import can tell: known, a reference, a moment, a condition
    fold     nodes to values
    durations  ISO 8601 durations
    sql      values of records as SQL expressions
    calls    macros, methods and filters that the import knows

Start with fold.Folder. May import: importers.common, importers.model and the top-level modules.
"""
