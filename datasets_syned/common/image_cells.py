"""Images that lie in Parquet files, as the `datasets` library stores them: named, and read one after the other."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from datasets.exceptions import DatasetGenerationError

from .images import ImageError

CELLS_AT_ONCE = 16  # images in memory, for each of two columns


class BenchmarkFilesError(ValueError):
    """Files of a benchmark are missing or broken."""


class BrokenImageError(BenchmarkFilesError, DatasetGenerationError):
    """
    Images are missing or broken, or the Parquet file that holds them is. The second base makes `load_dataset` show it
    as it is when rows are built; of any other error it shows that something was wrong, and ours further up.
    """


@dataclass(frozen=True)
class Cell:
    """An image in a Parquet file, before it is read."""

    file: Path
    row: int  # counted through all row groups
    column: str  # of bytes, or of `{"bytes", "path"}` as the `datasets` library stores images

    def __str__(self) -> str:
        return f"{self.file}, row {self.row}, column {self.column!r}"


class Cells:
    """Reads cells, fast if their rows rise, with few of them in memory; holds open the file that it read from last."""

    def __init__(self):
        self.file, self.columns = None, {}

    def read(self, cell: Cell) -> tuple[bytes, str | None]:
        """Bytes of the image (`b""` if there are none) and its name, if it has one."""
        if cell.file != self.file:
            self.file, self.columns = cell.file, {}
        try:
            if cell.column not in self.columns:
                arrow = cell.file.suffix == ".arrow"
                self.columns[cell.column] = (
                    _arrow(cell.file)[cell.column] if arrow else _Column(cell.file, cell.column)
                )
            value = self.columns[cell.column][cell.row].as_py()
        except (pa.ArrowException, OSError, StopIteration, IndexError) as error:
            raise ImageError(str(cell), f"cannot be read: {error!r}") from error
        return (value.get("bytes") or b"", value.get("path")) if isinstance(value, Mapping) else (value or b"", None)


class _Column:
    """One column of a Parquet file."""

    def __init__(self, file: Path, column: str):
        # Page by page: by default all of a row group is taken in first, which may be hundreds of megabytes. (Where the
        # writer looked at the size of its page every 1,024 rows only, a page is as large.)
        self.parquet, self.column = pq.ParquetFile(file, buffer_size=1 << 20, pre_buffer=False), column
        groups = range(self.parquet.num_row_groups)
        self.ends = list(accumulate(self.parquet.metadata.row_group(group).num_rows for group in groups))
        self.group, self.first, self.batch, self.batches = -1, 0, (), iter(())

    def __getitem__(self, row: int) -> pa.Scalar:
        group = bisect_right(self.ends, row)
        if group != self.group or row < self.first:
            self.group, self.first, self.batch = group, self.ends[group - 1] if group else 0, ()
            self.batches = self.parquet.iter_batches(CELLS_AT_ONCE, [group], [self.column], use_threads=False)
        while row >= self.first + len(self.batch):
            # empty while the next one is read: behind a damaged page nothing can be read, and the reader stops
            self.first, self.batch = self.first + len(self.batch), ()
            self.batch = next(self.batches).column(0)
        return self.batch[row - self.first]


def _arrow(file: Path) -> pa.Table:
    """The rows of an Arrow file that `save_to_disk` wrote, which is mapped into memory."""
    return pa.ipc.open_stream(pa.memory_map(str(file))).read_all()


def parquet_columns(file: Path) -> pa.Schema:
    """Names and types of the columns of a Parquet or Arrow file."""
    try:
        return _arrow(file).schema if file.suffix == ".arrow" else pq.read_schema(file)
    except (pa.ArrowException, OSError) as error:
        raise BenchmarkFilesError(f"{file} is not a Parquet file, or is cut off: {error}") from error


def read_columns(file: Path, names: Sequence[str], images: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Rows of a Parquet file, of some columns alone; the columns of images have to be there, but are not read."""
    there = parquet_columns(file).names
    if missing := [name for name in (*names, *images) if name not in there]:
        raise BenchmarkFilesError(f"{file} has no column {', '.join(missing)}; it has {', '.join(there)}")
    try:
        arrow = file.suffix == ".arrow"
        return (_arrow(file).select(names) if arrow else pq.ParquetFile(file).read(names)).to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise BenchmarkFilesError(f"{file} cannot be read: {error}") from error
