"""Dispatch: from a command to the module that runs it.

    commands  run_command() and run_sql(): each command, by its family
    files     commands that read and write files: import, export, copy, remove, show files, run
    tables    TableCommands: describe, show columns, peek, changes and create chart, wherever the table is

Start with commands.run_command; interpreter.interpreter calls it.
May import: interpreter.session and what it may import.
"""
