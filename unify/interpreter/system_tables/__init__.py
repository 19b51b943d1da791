"""The tables of the schema `unify`: the state of the system, refilled before each statement that reads them.

    tables     SystemTables: fills them; the rows of most, and of show settings
    schedules  what is scheduled, and the runs of scripts
    freshness  how each table is kept up to date, and how old it is
    lineage    what each table reads

Start with tables.SystemTables. The names and columns are those of interpreter.system_columns.
May import: what the interpreter may, below charts.
"""
