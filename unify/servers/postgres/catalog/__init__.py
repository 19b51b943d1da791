"""PostgreSQL's catalog for clients: an empty PostgreSQL with the tables of the home.

    queries   which statements read the catalog, and CatalogClient, which runs them
    server    CatalogServer: the process of PostgreSQL
    fallback  DuckDB's own catalog, where PostgreSQL cannot be run
    tables    the tables of the home as statements that create them

Start with queries.is_catalog_query, then queries.CatalogClient. psycopg is imported by queries and server.
"""
