"""Rendering: what reaches the terminal or an output file.

    output    Output: writes rows, charts and text to stdout or to the file of `-o`
    table_file  `-o FILE.parquet` and `-o FILE.xlsx`
    stdout    standard output: its encoding, and errors of writing it
    messages  Messages: writes errors and notices to stderr
    progress  ProgressDisplay: shows running loads, as live lines on a terminal
    pager     sends long output to $PAGER
    terminal  the size and abilities of the terminal; prompts the user to sign in
    columnar  rows with their types for pyarrow, pandas and polars
    formats   result formats: box, CSV, JSON, Markdown, HTML, vertical
    charts    charts as text

Start with output.Output.
May import: interpreter, load, convert, adapters, lake, queue, status, language, config, engine, fs and the
top-level modules; not publish.
"""
