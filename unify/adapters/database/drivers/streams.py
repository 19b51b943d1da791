"""RowStream: rows of a SELECT, as an Arrow stream that DuckDB reads when it scans it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow

_NUMBERS = count(1)


class RowStream:
    """The rows of one SELECT, which is sent anew for each scan. Implements the Arrow PyCapsule interface.

    ``name``  under which it is registered in DuckDB; no other stream of the process has it.
    ``read``  sends the SELECT and yields its rows; DuckDB calls it in any of its threads.
    """

    def __init__(
        self, connection: str, schema: pyarrow.Schema, read: Callable[[], Iterator[pyarrow.RecordBatch]]
    ) -> None:
        self.name = f"rows of {connection} {next(_NUMBERS)}"
        self._schema = schema
        self._read = read

    def __arrow_c_schema__(self) -> object:
        """Return the schema. Sends nothing."""
        capsule: object = self._schema.__arrow_c_schema__()
        return capsule

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Return the rows, which are read while they are taken."""
        import pyarrow

        reader = pyarrow.RecordBatchReader.from_batches(self._schema, self._read())
        capsule: object = reader.__arrow_c_stream__()
        return capsule
