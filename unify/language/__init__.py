"""Language: from the text of a statement to a typed command.

    tokenizer        splits SQL into tokens by DuckDB's lexical rules; finds `$name` variables
    select_bounds      where the SELECT of create sync begins and ends
    statements       splits a script into statements; distinguishes Unify's commands from SQL
    parser           parse(): a statement to a command; SQL becomes RunSql, unchanged
    postgres_dialect  a SELECT in PostgreSQL's words for DuckDB
    table_names      names of tables of a source that has schemas: orders, sales.orders
    commands         one struct per command of Unify, and RunSql
    grammar          builds the parser from grammar.lark
    command_builder  CommandBuilder: builds a command from each parse tree
    command_values   the parts that rules share: names, texts, durations, times
    sync_builder     the part of CommandBuilder for syncs and watches
    chart_settings   checks the settings of `create chart` and builds ChartSettings
    syntax_errors    errors in commands: the position, the reason, what was expected instead
    error_position   the line with a caret below it that shows where an error is; keyword suggestions
    sql              analysis of SQL statements: tables, conditions, rewriting

Start with parser.parse. A new command needs a struct in commands, a rule in grammar.lark and a method in
command_builder.CommandBuilder.
May import: config, engine, fs and the top-level modules.
"""
