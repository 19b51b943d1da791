"""Imports OpenAPI 2 (Swagger) and 3 documents: operations that list rows become tables.

    document    the document: references, servers, operations with their parameters
    schemas     the shape of a response from its schema
    paging      pagination from parameters and the response
    security    security schemes
    operations  tables from operations

Start with operations.import_openapi. References are followed within the folder of the document only.
May import: importers.common, importers.model and the top-level modules.
"""
