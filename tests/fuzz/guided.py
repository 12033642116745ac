"""Fuzzing that looks at which code each case reached, by atheris: `python -m tests.fuzz.guided --help`.

Atheris exists for Linux and Python up to 3.13. Elsewhere, or with `--plain`, cases are made from the same seeds by
chance alone; the last line always says which of the two it was.
"""

import argparse
import asyncio
import random
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from tests.fuzz.seeds import SEEDS, TOKENS

try:
    import atheris
except ImportError:
    atheris = None

CRASHERS = Path(__file__).with_name("crashers")

LONGEST = {"markdown": 16_000, "frames": 20_000}
"""Bytes of a case."""


def target(name: str, database: str) -> Callable[[bytes], None]:
    """Return what tries one case, and raises when it finds a defect.

    What the renderer does is not Python, so the reading of its result is looked at too.
    """
    instrumented = atheris.instrument_imports(include=["services", "pages", "html"]) if atheris else nullcontext()
    with instrumented:
        from tests.fuzz import targets
    if name == "markdown":
        return targets.try_markdown
    loop = asyncio.new_event_loop()
    frames = loop.run_until_complete(targets.Frames.start(database))
    return lambda data: loop.run_until_complete(frames.try_frame(data))


def seeds(name: str) -> list[bytes]:
    """Return what cases are made from; what once failed is among them."""
    return [seed.encode() for seed in SEEDS[name]] + [
        path.read_bytes() for path in sorted((CRASHERS / name).glob("*"))
    ]


def guided(options: argparse.Namespace, attempt: Callable[[bytes], None]) -> None:
    """Let atheris make the cases; does not return."""
    folder: Path = options.folder
    corpus = folder / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds(options.target)):
        (corpus / f"seed-{number}").write_bytes(seed)
    tokens = folder / "tokens"
    quoted = ("".join(f"\\x{byte:02x}" for byte in token.encode()) for token in TOKENS[options.target])
    tokens.write_text("".join(f'"{token}"\n' for token in quoted))
    arguments = [
        sys.argv[0],
        str(corpus),
        f"-dict={tokens}",
        f"-artifact_prefix={folder}/",
        f"-max_len={LONGEST[options.target]}",
        f"-runs={options.runs}",
        f"-max_total_time={options.seconds}",
        f"-seed={options.seed}",
        "-timeout=60",
        "-verbosity=1",
    ]
    atheris.Setup(arguments, attempt)
    atheris.Fuzz()


def plain(options: argparse.Namespace, attempt: Callable[[bytes], None]) -> None:
    """Make the cases by chance."""
    chance = random.Random(options.seed or None)
    known = seeds(options.target)
    tokens = [token.encode() for token in TOKENS[options.target]]
    until, runs = time.monotonic() + options.seconds, 0
    for case in known:
        attempt(case)
    while runs < options.runs and time.monotonic() < until:
        case = changed(chance.choice(known), tokens, chance)[: LONGEST[options.target]]
        try:
            attempt(case)
        except BaseException:
            (options.folder / "crash").write_bytes(case)
            raise
        runs += 1
    sys.stdout.write(f"Done {runs} runs by chance alone\n")


def changed(case: bytes, tokens: list[bytes], chance: random.Random) -> bytes:
    """Change a case a little, or a lot."""
    for _ in range(chance.randint(1, 8)):
        at, to = sorted(chance.randint(0, len(case)) for _ in range(2))
        match chance.randint(0, 4):
            case 0:
                case = case[:at] + chance.choice(tokens) + case[at:]
            case 1:
                case = case[:at] + case[to:]
            case 2:
                case = case[:at] + chance.randbytes(chance.randint(1, 4)) + case[at:]
            case 3:
                case = case[:to] + case[at:to] * chance.choice([1, 2, 50]) + case[to:]
            case _:
                case = case[:at] + chance.choice(tokens) * chance.choice([1, 5, 500]) + case[to:]
    return case


def main(arguments: list[str] | None = None) -> None:
    """Fuzz what the arguments say."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", choices=sorted(SEEDS))
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--runs", type=int, default=2**31 - 1, help="cases, if that comes first")
    parser.add_argument("--seed", type=int, default=1, help="the same cases for the same seed; 0: any")
    parser.add_argument("--folder", type=Path, required=True, help="where the corpus and what fails is written")
    parser.add_argument("--database", default="", help="URL of an empty database, for frames")
    parser.add_argument("--plain", action="store_true", help="do without atheris")
    options: Any = parser.parse_args(arguments)
    options.folder.mkdir(parents=True, exist_ok=True)
    global atheris  # noqa: PLW0603 - instrumenting would only slow plain cases down
    if options.plain:
        atheris = None
    (guided if atheris else plain)(options, target(options.target, options.database))


if __name__ == "__main__":
    main()
