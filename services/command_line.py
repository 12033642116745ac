"""What ``python app.py`` is asked to do."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from services.settings import describe_settings


@dataclass(frozen=True, slots=True)
class Command:
    """What to do: ``run``, or ``backup`` or ``restore`` with a file; None stands for standard output."""

    name: str
    file: Path | None = None
    replace: bool = False


def read_command(arguments: Sequence[str] | None = None) -> Command:
    """Read the command line; ends the process where it asks for help or makes no sense.

    :param arguments: instead of those of this process.
    """
    parser = argparse.ArgumentParser(
        prog="python app.py",
        description="Parley, a self-hosted team chat. Without a command it runs until it is stopped.",
        epilog=f"It is configured by environment variables:\n{describe_settings()}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(title="commands", dest="name", metavar="COMMAND")
    backup = commands.add_parser("backup", help="write everything to FILE, while Parley runs or not")
    backup.add_argument("file", metavar="FILE", type=Path, help="must not exist yet; - for standard output")
    restore = commands.add_parser("restore", help="put what FILE holds into the database, while Parley is stopped")
    restore.add_argument("file", metavar="FILE", type=Path, help="what backup wrote")
    restore.add_argument("--replace", action="store_true", help="remove what the database holds now")
    given = vars(parser.parse_args(arguments))
    if given["name"] is None:
        return Command("run")
    if given["name"] == "backup" and given["file"] == Path("-"):
        given["file"] = None
    return Command(**given)
