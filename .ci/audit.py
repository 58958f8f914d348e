"""Tells what pip-audit found, and what it could not ask about: python audit.py < audit.json."""

import json
import sys


def tell(line: str) -> None:
    """Write a line."""
    sys.stdout.write(f"{line}\n")


def main() -> int:
    """Return 1 where there are holes, or where nothing was audited."""
    text = sys.stdin.read()
    try:
        found = json.loads(text)["dependencies"]
    except (ValueError, KeyError, TypeError):
        tell("Nothing was audited: pip-audit gave no answer.")
        return 1
    asked = [one for one in found if "vulns" in one]
    skipped = [one["name"] for one in found if "vulns" not in one]
    holes = [(one, hole) for one in asked for hole in one["vulns"]]
    for one, hole in holes:
        fixed = ", ".join(hole.get("fix_versions") or []) or "no version yet"
        tell(f"{one['name']} {one['version']}: {hole['id']}, mended in {fixed}")
    if not asked:
        tell(
            f"Nothing was audited: the index knows of no holes in any of {len(skipped)} libraries."
        )
        return 1
    tell(f"{len(asked)} libraries were audited, {len(holes)} known holes.")
    if skipped:
        tell(f"Not audited, as the index does not know them: {', '.join(skipped)}.")
    return int(bool(holes))


if __name__ == "__main__":
    sys.exit(main())
