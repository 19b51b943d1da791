"""Response formats: the records in a response body. Records stay undecoded JSON.

    body     RecordSelector and ResponseBody: the rows of a body, and the values beside them
    row_selection  the rows at the paths of a JSON body
    records  parse_body(): a body of any format as a ResponseBody; an error instead of rows is refused
    error_envelope  errors with status 200
    error_texts     what a text beside an empty list says
    text     gzip, charsets, guards before JSON; repairs of NaN and half surrogate pairs
    outside  the scalar members of a body outside its rows
    cut_lists  lists that an object around the rows says are not complete
    locate   resolves paths; finds the rows where the spec gives no path; reads one column of the last row
    array_rows  rows that are lists, with names elsewhere
    nesting  columns with `$.path`: adds values of the enclosing objects to each row
    csv      lines of CSV as JSON objects of texts
    jsonl    JSON lines: one value per line
    xml      XML elements as JSON objects of texts

Start with records.parse_body.
May import: adapters.paging, base, options and spec; language, config, engine, fs and the top-level modules.
"""
