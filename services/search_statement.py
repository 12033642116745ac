"""The statements that search: they look through the newest messages, or find all by the index.

They go to asyncpg directly, see :mod:`models.prepared`, and are planned by their arguments.
"""

from dataclasses import dataclass

_COLUMNS = """
    id, chat_id, seq, version, author_id, body, html, nonce, reply_to, created_at, edited_at,
    deleted_at IS NOT NULL,
    ts_headline('simple', body, to_tsquery('simple', $1), 'StartSel="", StopSel="", MaxWords=30, MinWords=12')
"""

CREATED_AT, SNIPPET = 9, 12
"""Where a row has the time and the snippet; the others before it are those of :func:`services.describe.message`."""

_MATCHES = "to_tsvector('simple', body) @@ to_tsquery('simple', $1)"

# What can be ruled out by a glance at the text need not be taken apart into words.
_NEWEST = """
SELECT {columns}
FROM (
    SELECT *
    FROM (SELECT * FROM messages WHERE {within} ORDER BY {place} DESC LIMIT $6) AS recent
    WHERE {readable} AND lower(body COLLATE "C") LIKE ALL ($5::text[]) AND {matches}
    ORDER BY {place} DESC, seq DESC
    LIMIT $4
) AS hit
ORDER BY {place} DESC, seq DESC
"""

# Sorted by an expression, so that PostgreSQL does not walk through all messages, hoping for matches among the newest.
_INDEXED = """
SELECT {columns}
FROM (
    SELECT *
    FROM messages
    WHERE {within} AND {readable} AND {matches}
    ORDER BY {place} + {nothing} DESC, seq DESC
    LIMIT $4
) AS hit
ORDER BY {place} DESC, seq DESC
"""

_MOMENT = """
SELECT {columns}
FROM messages
WHERE {within} AND {readable} AND {matches} AND created_at = $4
ORDER BY seq DESC
LIMIT $5
"""


@dataclass(frozen=True, slots=True)
class Statements:
    """How hits are found, newest first, with these arguments: ``$1`` the words, ``$2`` where, ``$3`` before what.

    :param newest: among the newest messages; ``$4`` hits at most, ``$5`` patterns that the text has to match too,
        ``$6`` messages looked through. :param indexed: among all; ``$4`` hits at most.
    :param moment: those of the time ``$4``; ``$5`` hits at most.
    """

    newest: str
    indexed: str
    moment: str


def _statements(**parts: str) -> Statements:
    parts |= {"columns": _COLUMNS, "matches": _MATCHES}
    return Statements(_NEWEST.format(**parts), _INDEXED.format(**parts), _MOMENT.format(**parts))


BY_TIME = _statements(
    within="created_at < $3", readable="chat_id = ANY($2::uuid[])", place="created_at", nothing="interval '0'"
)
"""In some chats, ``$2``, before a time."""

BY_NUMBER = _statements(within="chat_id = $2 AND seq < $3", readable="TRUE", place="seq", nothing="0")
"""In one chat, ``$2``, before a number."""
