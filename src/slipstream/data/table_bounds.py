"""What a table will take, told before it is read: by counting, or from what Parquet declares."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from slipstream.data.bounds import free_bytes, why_no_room
from slipstream.data.extras import needed

CHUNK_BYTES = 1 << 20
# Each column has buffers of its own, whatever is in it.
MOST_COLUMNS = 1 << 16
# A value as it is parsed, and as the input or the target that it becomes.
VALUE_BYTES = 8 + 4
LABEL_BYTES = 8 + 8


def why_no_csv(path: Path) -> str:
    """Return why a CSV file is not read; "" where it can be.

    It is unpacked and counted through once: what it will take is known, and nothing is kept.

    Args:
        path: The file, packed or not.
    """
    arrow = needed("pyarrow")
    num_values, num_bytes, free = 0, 0, free_bytes()
    with arrow.input_stream(str(path), compression="detect") as stream:
        while chunk := stream.read(CHUNK_BYTES):
            if not num_bytes:
                why = _why_too_wide(chunk)
                if why:
                    return why
            num_bytes += len(chunk)
            num_values += sum(map(chunk.count, (b",", b"\n", b"\r")))
            # Words stay as long as they are written.
            if num_values * VALUE_BYTES + num_bytes > free:
                return why_no_room(num_values * VALUE_BYTES + num_bytes) or "more than memory holds"
    return ""


def why_no_parquet(metadata: Any, schema: Any, features: Sequence[str]) -> str:
    """Return why columns of a Parquet file are not read; "" where they can be.

    Args:
        metadata: What the file declares.
        schema: Its schema, as Arrow has it.
        features: The columns of the inputs: numbers alone. Of the label's words each is kept once.
    """
    rows = metadata.num_rows
    widths = (_width(schema.field(name).type) for name in features)
    taken = sum(max(VALUE_BYTES, width) for width in widths) + LABEL_BYTES
    if rows < 0:
        return f"{rows} rows"
    return why_no_room(rows * taken)


def _width(kind: Any) -> int:
    try:
        return int(kind.bit_width) // 8 + 4
    except ValueError:
        return VALUE_BYTES


def _why_too_wide(chunk: bytes) -> str:
    header = chunk.split(b"\n", 1)[0]
    num = header.count(b",") + 1
    return f"{num:,} columns, more than {MOST_COLUMNS:,}" if num > MOST_COLUMNS else ""
