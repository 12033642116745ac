"""Tell, without asking a registry, whether the locks were made from pyproject.toml's present requirements."""

import argparse
import hashlib
import json
import sys
import tomllib
from pathlib import Path

LOCKS = [Path("requirements.lock"), Path("requirements-dev.lock")]
LABEL = "# made by `make lock` from pyproject.toml's requirements: sha256 "


def requirements_digest() -> str:
    """The SHA-256 of all requirements in pyproject.toml, which changes when one of them does."""
    pyproject = tomllib.loads(Path("pyproject.toml").read_text())
    wanted = [pyproject["project"]["dependencies"], pyproject["dependency-groups"]]
    return hashlib.sha256(json.dumps(wanted, sort_keys=True).encode()).hexdigest()


def main() -> int:
    """Write the digest into the locks, or with `--check` compare it.

    :return: the process's exit code, 1 when a lock is older than pyproject.toml's requirements.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare only, and fail when they differ")
    first_line = f"{LABEL}{requirements_digest()}\n"
    if parser.parse_args().check:
        stale = [str(lock) for lock in LOCKS if not lock.read_text().startswith(first_line)]
        print("Locks:", f"run `make lock` to renew {', '.join(stale)}" if stale else "up to date")
        return int(bool(stale))
    for lock in LOCKS:
        lines = lock.read_text().splitlines(keepends=True)
        lock.write_text("".join([first_line, *(line for line in lines if not line.startswith(LABEL))]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
