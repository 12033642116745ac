"""Hold all hand-written JavaScript to its budget: Parley is written in Python, and this keeps it so."""

import subprocess
import sys
from pathlib import Path

SUFFIXES = {".js", ".mjs", ".cjs", ".jsx", ".ts", ".tsx", ".vue"}
LINES = 400
WIDTH = 120


def main() -> int:
    """Count the lines of every script that git knows of or would add.

    :return: the process's exit code, 1 when the scripts are over budget.
    """
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split("\0")
    paths = [Path(name) for name in names if Path(name).suffix in SUFFIXES]
    scripts = {path: path.read_text().splitlines() for path in paths if path.exists()}
    total = sum(map(len, scripts.values()))
    wide = [
        f"{path}:{number}: longer than {WIDTH} characters"
        for path, lines in scripts.items()
        for number, line in enumerate(lines, start=1)
        if len(line) > WIDTH
    ]
    print(f"JavaScript: {total} of {LINES} lines in {len(scripts)} file(s)")
    print(*wide, sep="\n", end="\n" if wide else "")
    return int(total > LINES or bool(wide))


if __name__ == "__main__":
    sys.exit(main())
