"""SQL analysis: which tables a statement uses, its conditions on them, and how to replace them.

    analysis    analyse: what the text of a statement shows, found once and handed on
    refs        TableRef, Constant and Condition: what a statement says of a table
    tables      the tables that a statement reads or writes; by sqlglot, else by its keywords
    simple_select  the table of a SELECT with one table, from its tokens, without importing sqlglot
    parse       table names in the syntax tree of sqlglot
    predicates  the conditions and joins of a SELECT that limit the rows of each table
    untrusted   the check that SQL from outside a shell is one SELECT of tables
    aggregates  a SELECT that needs counts, sums, minima and maxima of its table, and no single rows
    used_names  the names of a statement that uses columns by name alone: no others are read
    simple_views  views of one table, row by row, and what a statement needs of the table
    write_statement  INSERT, UPDATE and DELETE, cut into their clauses
    table_changes  CREATE TABLE … AS, DROP TABLE and TRUNCATE, cut into their clauses
    merge_statement  MERGE INTO, cut into its clauses
    rewrite     every mention of a table with its conditions; replaces the names

Start with analysis.analyse. No statement is run or bound here.
May import: language; config, engine, fs and the top-level modules.
"""
