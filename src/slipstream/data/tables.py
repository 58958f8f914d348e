"""Tables in CSV and Parquet files: numbers in, one column of targets."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from slipstream.data.bounds import first_line
from slipstream.data.extras import needed
from slipstream.data.names import numbered
from slipstream.data.nests import Array
from slipstream.data.splits import Split
from slipstream.data.table_bounds import why_no_csv, why_no_parquet
from slipstream.errors import DataError

PARQUET_ENDINGS = (".parquet", ".pq")
NUM_ROWS_SHOWN = 3
# Rows that are looked through for an example of what is wrong.
MOST_LOOKED_THROUGH = 100_000


def table_file(path: str | Path, label: str, *, features: Sequence[str] | None = None) -> Split:
    """Return the rows of a CSV file with a header, or of a Parquet file.

    Args:
        path: The file; what ends in .parquet or .pq is read as Parquet, all else as CSV, packed
            or not (.gz, .bz2, .zst).
        label: The column of the targets. Names become the numbers of their sorted order.
        features: The columns of the inputs; all but the label, in the file's order, if None.

    Returns:
        A split with inputs float32 (N, columns), and targets int64 (N,) for whole numbers and
        names, float32 (N,) for others.

    Raises:
        DataError: The file is missing or broken, lacks a column, or has one without numbers or
            with gaps; targets are numbers of which some are not written as such.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "pets.csv"
        >>> _ = file.write_text("weight,legs,kind\\n4,4,cat\\n0.03,2,budgie\\n")
        >>> split = table_file(file, "kind")
        >>> split.x.tolist(), split.y.tolist()
        ([[4.0, 4.0], [0.029999999329447746, 2.0]], [1, 0])
    """
    path = Path(path)
    table = _read(path, label, features)
    wanted = _wanted(list(table.column_names), label, features, path)
    if not wanted or not table.num_rows:
        came = "no row" if wanted else f"none but '{label}'"
        raise DataError(
            f"rows with columns of inputs in {path}", came, "Give another file.", code="SLP-323"
        )
    inputs = np.empty((table.num_rows, len(wanted)), np.float32)
    for place, name in enumerate(wanted):
        inputs[:, place] = _numbers(table.column(name), name, path)
    return Split(inputs, _targets(table.column(label), label, path))


def _wanted(
    names: Sequence[str], label: str, features: Sequence[str] | None, path: Path
) -> list[str]:
    wanted = [name for name in names if name != label] if features is None else list(features)
    for name in (label, *wanted):
        _refuse_missing(name, names, path)
    return wanted


def _read(path: Path, label: str, features: Sequence[str] | None) -> Any:
    arrow = needed("pyarrow")
    if not path.is_file():
        raise DataError(
            f"a CSV or Parquet file at {path.absolute()}",
            "something else" if path.exists() else "nothing",
            "Mend the path, or make it.",
            code="SLP-324",
        )
    try:
        if path.suffix in PARQUET_ENDINGS:
            return _read_parquet(path, label, features)
        return _read_csv(path)
    # Names of columns that are no text are errors of their own.
    except (arrow.ArrowException, OSError, UnicodeError, MemoryError) as error:
        ragged = [] if path.suffix in PARQUET_ENDINGS else _ragged_rows(path)
        if ragged:
            raise _ragged(path, ragged) from None
        raise _broken(path, first_line(error)) from None


def _read_csv(path: Path) -> Any:
    why = why_no_csv(path)
    if why:
        raise _broken(path, why)
    table = needed("pyarrow.csv").read_csv(path)
    # Here, where what is no text is told.
    list(table.column_names)
    return table


def _read_parquet(path: Path, label: str, features: Sequence[str] | None) -> Any:
    """Read the columns that are asked for, once their types and sizes are known."""
    parquet = needed("pyarrow.parquet")
    with parquet.ParquetFile(path) as file:
        schema, metadata = file.schema_arrow, file.metadata
    wanted = _wanted(schema.names, label, features, path)
    for name in wanted:
        _refuse_words(schema.field(name).type, name, path)
    kind = schema.field(label).type
    why = why_no_parquet(metadata, schema, wanted)
    if why or needed("pyarrow").types.is_nested(kind):
        raise _broken(path, why or f"a column '{label}' of {kind}")
    # Each word is kept once: a long one times many rows would fill any memory.
    with parquet.ParquetFile(path, metadata=metadata, read_dictionary=[label]) as file:
        return file.read(columns=[label, *wanted])


def _broken(path: Path, came: str) -> DataError:
    kind = "Parquet" if path.suffix in PARQUET_ENDINGS else "CSV"
    return DataError(f"a {kind} file at {path}", came, "Mend the file.", code="SLP-325")


def _ragged_rows(path: Path) -> list[Any]:
    """Return those rows of a CSV file that have more or fewer values than its header."""
    arrow, csv = needed("pyarrow"), needed("pyarrow.csv")
    found: list[Any] = []

    def skip(row: Any) -> str:
        found.append(row)
        return "skip"

    try:
        # Rows have numbers where one thread reads them; any byte is a letter of Latin-1.
        reading = csv.ReadOptions(use_threads=False, encoding="latin1")
        csv.read_csv(path, reading, csv.ParseOptions(invalid_row_handler=skip))
    except (arrow.ArrowException, OSError):
        # What else is wrong with it was said before.
        return found
    return found


def _ragged(path: Path, rows: Sequence[Any]) -> DataError:
    first = rows[0]
    shown = ", ".join(str(row.number) for row in rows[:NUM_ROWS_SHOWN])
    more = ", ..." if len(rows) > NUM_ROWS_SHOWN else ""
    values = "value" if first.expected_columns == 1 else "values"
    lines = "row (line" if len(rows) == 1 else "rows (lines"
    return DataError(
        f"{first.expected_columns} {values} in every row of {path}, as its header has",
        f"another number of them in {len(rows)} {lines} {shown}{more}),"
        f" {first.actual_columns} in the first of these",
        (_another_separator(first.text) if first.expected_columns == 1 else "")
        or "Mend these lines, or quote values that hold a comma.",
        code="SLP-313",
    )


def _another_separator(text: str) -> str:
    """Return what to do where values are separated by something else; "" where they are not."""
    for mark, name in ((";", "semicolons"), ("\t", "tabs")):
        if mark in text:
            return f"Separate values by commas and write numbers with points: here are {name}."
    return ""


def _refuse_missing(name: str, names: Sequence[str], path: Path) -> None:
    count = names.count(name)
    if count == 1:
        return
    shown = ", ".join(f"'{other:.40}'" for other in names[:12]) + (
        ", ..." if len(names) > 12 else ""
    )
    near = get_close_matches(name, names, 1)
    mend = f"Did you mean '{near[0]}'?" if near else "Name one of these."
    if count > 1:
        mend = "Give each of them a name of its own in the file."
    elif len(names) == 1 and path.suffix not in PARQUET_ENDINGS:
        mend = _another_separator(names[0]) or mend
    raise DataError(
        f"one column '{name}' in {path}",
        f"{count or 'none'}; its columns are {shown}",
        mend,
        code="SLP-326",
    )


def _numbers(column: Any, name: str, path: Path) -> Array:
    _refuse_gaps(column, name, path)
    _refuse_words(column.type, name, path, column)
    if needed("pyarrow").types.is_decimal(column.type):
        column = column.cast("float64")
    return _as_float32(column)


def _as_float32(column: Any) -> Array:
    # What becomes infinite is for the checks to tell, with its rows.
    with np.errstate(over="ignore"):
        return np.asarray(column.to_numpy(), np.float32)


def _refuse_words(kind: Any, name: str, path: Path, column: Any = ()) -> None:
    if not (needed("pyarrow").types.is_boolean(kind) or _is_number(kind)):
        example = _example(column)
        raise DataError(
            f"numbers in column '{name}' of {path}",
            f"values of type {kind}{example}",
            "Leave it out with features=[...], or write it as numbers.",
            code="SLP-315",
        )


def _example(column: Any) -> str:
    """Return the first value that is no number, and its row: others may look like numbers."""
    for row, value in enumerate(islice(column, MOST_LOOKED_THROUGH)):
        try:
            text = str(value)
            float(text)
        except UnicodeError:
            return f", in row {row} no text either"
        except ValueError:
            return f", like {text[:20]!r} in row {row}"
    return ""


def _targets(column: Any, name: str, path: Path) -> Array:
    _refuse_gaps(column, name, path)
    types = needed("pyarrow").types
    if types.is_floating(column.type) or types.is_decimal(column.type):
        return _as_float32(column.cast("float64"))
    if types.is_integer(column.type):
        return np.asarray(column.to_numpy(), np.int64)
    if types.is_temporal(column.type):
        raise _no_targets(column, name, path, "dates and times are no classes")
    try:
        return numbered(column, name, path)
    except (needed("pyarrow").ArrowException, UnicodeError, TypeError, IndexError) as error:
        raise _no_targets(column, name, path, first_line(error)) from None


def _no_targets(column: Any, name: str, path: Path, why: str) -> DataError:
    return DataError(
        f"numbers or words in column '{name}' of {path}",
        f"values of type {column.type} ({why})",
        "Name another column of targets, or write this one as numbers or words.",
        code="SLP-315",
    )


def _refuse_gaps(column: Any, name: str, path: Path) -> None:
    if column.null_count:
        rows = np.flatnonzero(np.asarray(column.is_null().to_numpy()))
        shown = "row " if len(rows) == 1 else "rows "
        shown += ", ".join(str(row) for row in rows[:NUM_ROWS_SHOWN])
        shown += ", ..." if len(rows) > NUM_ROWS_SHOWN else ""
        raise DataError(
            f"a value in every row of column '{name}' of {path}",
            f"{column.null_count} of {len(column)} rows without one ({shown})",
            "Fill them in, or leave these rows out.",
            code="SLP-314",
        )


def _is_number(kind: Any) -> bool:
    types = needed("pyarrow").types
    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind))
