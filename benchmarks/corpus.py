"""Many texts of made-up words, a few of which stand in every other text and most in hardly any, as in any language.

Whoever writes the texts knows what a search must find in them: its answers are compared with :meth:`Corpus.matches`.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate, product
from random import Random

WORDS = 20_000
"""Words of the language."""

FLATTENED = 2.7
"""The word of rank r stands in texts in proportion to 1 / (r + this): Zipf's law with Mandelbrot's correction."""

SHORTEST, LONGEST = 2, 24
"""Words of a text."""

CONSONANTS, VOWELS = "bdfgklmnprstvz", "aeiou"

DRAWN_AT_ONCE = 100_000
"""Words for which chance is asked at once, which is faster than one by one."""


class Corpus:
    """Texts by their number, from 0.

    :param count: how many. :param seed: the same seed makes the same texts.
    """

    def __init__(self, count: int, *, seed: int = 1) -> None:
        chance = Random(seed)
        self.vocabulary = _vocabulary(chance)
        self._alphabetical = sorted(range(WORDS), key=self.vocabulary.__getitem__)
        self._found_in = [array("I") for _ in range(WORDS)]
        drawn = _drawn(chance)
        self.texts = [self._text(number, chance, drawn) for number in range(count)]

    def matches(self, query: str) -> set[int]:
        """Find the texts that have words beginning with all the words of a query."""
        found: set[int] | None = None
        for prefix in query.split():
            texts: set[int] = set()
            for rank in self._beginning_with(prefix):
                texts.update(self._found_in[rank])
            found = texts if found is None else found & texts
        return found or set()

    def _text(self, number: int, chance: Random, drawn: Iterator[int]) -> str:
        ranks = [next(drawn) for _ in range(chance.randint(SHORTEST, LONGEST))]
        words = []
        for rank in ranks:
            self._found_in[rank].append(number)
            words.append(self.vocabulary[rank])
        if not number % 20:
            words[-1] = f"**{words[-1]}**"
        text = " ".join(words).capitalize() + ("?" if not number % 7 else ".")
        return text if number % 50 else f"{text} https://example.org/{number}"

    def _beginning_with(self, prefix: str) -> Iterator[int]:
        place = bisect_left(self._alphabetical, prefix, key=self.vocabulary.__getitem__)
        while place < WORDS and self.vocabulary[self._alphabetical[place]].startswith(prefix):
            yield self._alphabetical[place]
            place += 1


def _vocabulary(chance: Random) -> list[str]:
    """Make words up, the most frequent first; those tend to be short."""
    syllables = ["".join(pair) for pair in product(CONSONANTS, VOWELS)]
    words: dict[str, None] = {}
    while len(words) < WORDS:
        fewest = 1 if len(words) < len(syllables) // 2 else 2
        words["".join(chance.choices(syllables, k=chance.randint(fewest, fewest + 2)))] = None
    return list(words)


def _drawn(chance: Random) -> Iterator[int]:
    """Draw words for ever."""
    weights = list(accumulate(1 / (rank + FLATTENED) for rank in range(WORDS)))
    while True:
        yield from chance.choices(range(WORDS), cum_weights=weights, k=DRAWN_AT_ONCE)
