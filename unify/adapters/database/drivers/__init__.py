"""Databases that are reached through a driver of ODBC or ADBC, for what DuckDB cannot reach.

    columns          DriverColumn: a column, and the Arrow type in which a driver gives its values
    streams          RowStream: rows of a SELECT, as an Arrow stream that DuckDB reads when it scans it
    sessions         DriverSession: a connection to the database; DriverSessionPool: those of one adapter
    dialect          conditions and limits that most databases understand
    adapter          DriverAdapter: what adapters of drivers have in common
    odbc             adapter `odbc`
    odbc_connection  connection strings, and the errors of drivers of ODBC
    odbc_columns     which Arrow type the values of an ODBC type have
    adbc             adapter `adbc`
    adbc_columns     which of a driver's Arrow types DuckDB reads exactly

May import what its package may, and the package's own modules.
"""
