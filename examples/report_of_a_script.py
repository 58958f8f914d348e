"""A record and a report of a script that knows nothing of Slipstream.

    python examples/report_of_a_script.py
    slipstream run --out runs/team examples/team_script.py     # the same from a shell

`slipstream run` runs the script as it is, with its `fit` on the engine, and leaves `record.json`,
`metrics.jsonl` and `report.html` for each fit.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import slipstream

SCRIPT = Path(__file__).with_name("team_script.py")


def main() -> None:
    """Run the script and read what was kept of it."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "slipstream", "run", "--out", folder, str(SCRIPT)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        fit = Path(folder) / "fit_1"
        record = slipstream.read_record(fit)
        report = (fit / "report.html").read_text(encoding="utf-8")
    said = done.stdout.strip()
    print(f"the script said: {said}")
    print(f"the record says: {len(record.points)} epochs, {record.updates} updates on ", end="")
    print(f"{record.backend}, val_accuracy {record.points[-1].values['val_accuracy']:.4f}")
    print(f"the report has {len(report) / 1e6:.1f} MB and opens offline")
    assert said.endswith(f"{record.points[-1].values['val_accuracy']:.4f}")
    assert len(record.points) == 8
    assert "val_accuracy" in report
    assert report.lstrip().lower().startswith("<!doctype html>")


if __name__ == "__main__":
    main()
