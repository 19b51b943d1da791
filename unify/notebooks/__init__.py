"""Notebooks: run in a kernel of Jupyter, from the shell or on a schedule.

    runner    run_notebook(): one notebook from its first cell to its last, or to the first error
    document  notebooks as files: read, given parameters, written; the cell of an error
    copies    the executed copies that are kept in the home, and pages of HTML

Start with runner.run_notebook. The packages of the extra `jupyter` are imported when a notebook is run.
May import: config, fs and the top-level modules.
"""
