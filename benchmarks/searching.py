"""Searching among very many messages, for words that are rare, frequent or nowhere, and for several at once."""

from contextlib import closing
from dataclasses import dataclass
from random import Random
from typing import Any
from urllib.parse import quote

from benchmarks.archive import Archive, Room
from benchmarks.asking import Inquiry, Rest, WrongAnswer, expect, inquire
from benchmarks.corpus import Corpus
from benchmarks.figures import Figure
from benchmarks.reading import WARMED_BY, check_messages
from benchmarks.servers import Running

PAGE = 50
"""Hits of a page, when the client does not say."""

GOAL, GOAL_AT_MOST = 30.0, 100.0
"""Milliseconds of the median, and of the 99th percentile."""

RANKS = {"frequent": (0, 60), "middling": (60, 2_000), "rare": (8_000, 20_000)}
"""Words by their rank: of a million texts they stand in half to a fiftieth, in some thousands, in some dozens."""

NOWHERE = "x"
"""No word of the corpus begins with it."""


@dataclass(frozen=True, slots=True)
class Search:
    """A query.

    :param hits: all messages that it has to find, newest first: the chat and the place in it.
    :param begun: how many of them earlier pages had. :param before: the time from which this page goes on.
    """

    query: str
    hits: list[tuple[Room, int]]
    begun: int = 0
    before: str = ""


class Searcher:
    """The person of an archive, who searches; each answer is compared with what the archive says.

    :param count: queries of each kind.
    """

    def __init__(self, server: Running, archive: Archive, *, count: int) -> None:
        self._server = server
        self._archive = archive
        rooms = (archive.large, *archive.others)
        self._places = {number: (room, place) for room in rooms for place, number in enumerate(room.numbers)}
        self._further: list[Search] = []
        self._kinds = {
            name: [self._search(query) for query in found] for name, found in queries(archive.corpus, count)
        }

    def measure(self, rest: Rest) -> list[Figure]:
        """Search for everything, then read the next page of what has more.

        :param rest: a connection of the archive's reader.
        :raises WrongAnswer: a hit is missing, double, out of order, or does not contain the words.
        """
        for searches in self._kinds.values():
            self._inquire(rest, "", searches[: WARMED_BY // len(self._kinds)])
        self._further.clear()
        mixed = [search for together in zip(*self._kinds.values(), strict=True) for search in together]
        inquiries = [self._inquire(rest, f"search among {len(self._places):,}", mixed)]
        further = self._further.copy()
        for name, searches in self._kinds.items():
            inquiries.append(self._inquire(rest, f"of it, {name}", searches))
        inquiries.append(self._inquire(rest, "search, the next page", further))
        figures = inquiries[0].figures(goal=GOAL, goal_at_most=GOAL_AT_MOST)
        for inquiry in inquiries[1:]:
            figures += inquiry.figures()[:2]
        return figures

    def _search(self, query: str) -> Search:
        archive = self._archive
        found = [number for number in archive.corpus.matches(query) if not archive.is_deleted(number)]
        places = {number: self._places[number] for number in found}

        def age(number: int) -> Any:
            room, place = places[number]
            return archive.time(number), room.seqs[place]

        return Search(query, [places[number] for number in sorted(found, key=age, reverse=True)])

    def _inquire(self, rest: Rest, subject: str, searches: list[Search]) -> Inquiry:
        def ask(search: Search) -> bytes:
            before = f"&before={quote(search.before)}" if search.before else ""
            return rest.get(f"/search?q={quote(search.query)}{before}")

        return inquire(subject, self._server, searches, ask, self._check)

    def _check(self, search: Search, answer: Any) -> None:
        found, wanted = answer["messages"], search.hits[search.begun :]
        if len(found) > PAGE or (not found and wanted):
            raise WrongAnswer(f"{search.query!r} has {len(wanted)} hits, and {len(found)} came on a page")
        for hit, (room, place) in zip(found, wanted, strict=False):
            check_messages(self._archive, room, [place], [hit])
            self._check_words(search.query, hit)
        expect("whether older ones follow", answer["more"], len(found) < len(wanted))
        if answer["more"]:
            last = found[-1]["created_at"]
            self._further.append(Search(search.query, search.hits, search.begun + len(found), last))

    def _check_words(self, query: str, hit: Any) -> None:
        for text in (hit["body"], hit["snippet"]):
            words = text.lower().replace("*", " ").split()
            for prefix in query.split():
                if not any(word.startswith(prefix) for word in words):
                    raise WrongAnswer(f"{query!r} found {text!r}")


def measure(server: Running, archive: Archive, *, count: int) -> list[Figure]:
    """Search as someone does who may read it all.

    :param count: queries of each kind.
    """
    searcher = Searcher(server, archive, count=count)
    with closing(Rest(server.url, archive.reader.token)) as rest:
        return searcher.measure(rest)


def queries(corpus: Corpus, count: int) -> list[tuple[str, list[str]]]:
    """Choose what to search for.

    :return: for each kind its name and queries.
    """
    chance = Random(3)

    def word(kind: str) -> str:
        return corpus.vocabulary[chance.randrange(*RANKS[kind])]

    single = [(f"{kind} words", [word(kind) for _ in range(count)]) for kind in RANKS]
    pairs = [("frequent", "frequent"), ("frequent", "middling"), ("middling", "middling"), ("frequent", "rare")]
    several = [" ".join(map(word, pairs[number % len(pairs)])) for number in range(count)]
    none = [
        f"{word('rare')[:2]}{NOWHERE}" if number % 2 else f"{word('frequent')} {NOWHERE}" for number in range(count)
    ]
    return [*single, ("several words", several), ("no hit", none)]
