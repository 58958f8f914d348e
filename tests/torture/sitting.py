"""One sitting of a training that may be killed: `python -m torture.sitting FOLDER`.

It says on its standard output after which update it goes on, and each update that is made.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "on_each_backend"))

from slipstream.engine import Progress, Resumed

# With all that has a state, and long enough to be killed in.
CHANGES = {"duration.epochs": 60, "duration.patience": 0}


def main(folder: str) -> None:
    """Train until it ends, by itself or not."""
    from test_engine_resume import EVERYTHING, Watcher, go

    class Telling(Watcher):
        def __call__(self, event: Any) -> None:
            super().__call__(event)
            if isinstance(event, Progress | Resumed):
                what = "made" if isinstance(event, Progress) else "resumed"
                print(what, event.update, flush=True)

    go(Path(folder), {**EVERYTHING, **CHANGES}, Telling(), every="1 updates")


if __name__ == "__main__":
    main(sys.argv[1])
