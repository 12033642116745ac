"""Writes `docs/settings.md` from the settings themselves; with `--check` it only compares."""

import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from services.settings import settings_table  # noqa: E402 - found only with the path above

DOCUMENT = ROOT / "docs" / "settings.md"

TEXT = """# Settings

Parley reads these environment variables when it starts and refuses to start, with one line that says why, when one is
wrong. Lengths are in characters. Rate limits and the cap on connections are off with `PARLEY_LIMITS=off`.

| Variable | Default | Sets |
| --- | --- | --- |
{rows}
"""


def main() -> int:
    """Write or compare; returns the exit code."""
    rows = "\n".join(
        f"| `{variable}` | {f'`{default}`' if default else ''} | {description} |"
        for variable, default, description in settings_table()
    )
    text = TEXT.format(rows=rows)
    if sys.argv[1:] == ["--check"]:
        if DOCUMENT.read_text() != text:
            sys.stderr.write("docs/settings.md differs from the settings: run .venv/bin/python .ci/settings.py\n")
            return 1
        return 0
    DOCUMENT.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
