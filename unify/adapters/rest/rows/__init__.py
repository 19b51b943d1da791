"""What a spec does with the rows of a page: it keeps some of them, and adds columns.

    record_filter    RecordFilter: `where` as paths and texts
    row_expressions  RowExpressions: `where` and columns as SQL expressions

Start with row_expressions.RowExpressions. May import: what adapters.rest may import.
"""
