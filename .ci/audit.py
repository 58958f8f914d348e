"""Tells what pip-audit found, and what it could not ask about: python audit.py < audit.json."""

import json
import sys


def main() -> int:
    """Return 1 where there are holes, or where nothing was audited."""
    text = sys.stdin.read()
    try:
        found = json.loads(text)["dependencies"]
    except (ValueError, KeyError, TypeError):
        print("Nothing was audited: pip-audit gave no answer.")
        return 1
    asked = [one for one in found if "vulns" in one]
    skipped = [one["name"] for one in found if "vulns" not in one]
    holes = [(one, hole) for one in asked for hole in one["vulns"]]
    for one, hole in holes:
        fixed = ", ".join(hole.get("fix_versions") or []) or "no version yet"
        print(f"{one['name']} {one['version']}: {hole['id']}, mended in {fixed}")
    if not asked:
        print(
            f"Nothing was audited: the index knows of no holes in any of {len(skipped)} libraries."
        )
        return 1
    print(f"{len(asked)} libraries were audited, {len(holes)} known holes.")
    if skipped:
        print(f"Not audited, as the index does not know them: {', '.join(skipped)}.")
    return int(bool(holes))


if __name__ == "__main__":
    sys.exit(main())
