"""Work that is done for a session: what is not committed when the session ends is not committed any more.

A request is checked when it begins, and may then have to wait, for a lock perhaps. The doors say for which session
they work; :meth:`services.parley.Parley.transaction` asks again just before it commits, and so does the writer of
messages.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from services.errors import NotAuthenticated

_holds: ContextVar[Callable[[], bool]] = ContextVar("parley_acting", default=lambda: True)


@contextmanager
def acting(holds: Callable[[], bool]) -> Iterator[None]:
    """Work for a session, here and in what is started from here.

    :param holds: tells whether the session holds now.
    """
    token = _holds.set(holds)
    try:
        yield
    finally:
        _holds.reset(token)


def session_holds() -> Callable[[], bool]:
    """Return what tells whether the session for which one works holds; always, if it is for none."""
    return _holds.get()


def refuse_ended() -> None:
    """Go on only while the session for which one works holds, if it is for one.

    :raises NotAuthenticated: it is over.
    """
    if not _holds.get()():
        raise NotAuthenticated
