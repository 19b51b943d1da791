"""Python programs: sessions, DB-API 2.0, data frames, SQLAlchemy. The public names are those of ``unify``.

    dbapi       connect(): connections and cursors of PEP 249
    session     open(): sessions that run the statements of the shell, and their results
    values      dates, times and intervals as values of Python
    types       the type objects and constructors of PEP 249
    exceptions  the exceptions of PEP 249
    sqlalchemy_dialect   the SQLAlchemy dialect `unify://`
    shortcuts   load() and tables() without a connection
    jupyter     the magics %unify and %%unify of notebooks: %load_ext unify

Start with dbapi.connect. pyarrow, pandas, polars, IPython and SQLAlchemy are imported when they are used.
May import: every other package.
"""
