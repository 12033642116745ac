"""Whatever schemathesis makes of the OpenAPI description gets a documented answer, whoever asks."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any
from uuid import uuid4

import httpx
import hypothesis
import pytest
import schemathesis
from hypothesis import given
from hypothesis import strategies as st
from schemathesis.checks import load_all_checks, not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi import checks

from tests.fuzz.conftest import Effort
from tests.rest.checks import PROBLEM
from tests.support.person import PASSWORD
from tests.support.server import ParleyServer

CASES = 6
"""Cases of one call in `make test`."""

CODES = {
    401: {"not_authenticated"},
    403: {"forbidden"},
    404: {"not_found"},
    409: {"conflict", "chat_closed"},
    413: {"too_large"},
    422: {"validation_failed"},
    429: {"rate_limited"},
}
CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]
CALLERS = ("owner", "member", "administrator", "stranger")


class World:
    """A Parley, those who call it, and what they can name in a call.

    :param url: where it is; nobody has an account there yet.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.client = httpx.Client(base_url=f"{url}/api/v1", timeout=60, trust_env=False)
        self.tokens: dict[str, str] = {}
        self.ids: dict[str, str] = {}
        for name in ("administrator", "owner", "member"):
            answer = self._post("/auth/register", username=name, password=PASSWORD)
            self.ids[name] = answer["user"]["id"]
            self.tokens[name] = answer["token"]
        self._renew_guest()

    def sign_in(self, caller: str) -> None:
        """Give a caller a new session, in case they ended theirs."""
        self.tokens[caller] = self._post("/auth/login", username=caller, password=PASSWORD)["token"]

    def headers(self, caller: str) -> dict[str, str]:
        """What says who calls."""
        return {"Authorization": f"Bearer {self.tokens[caller]}"} if caller in self.tokens else {}

    def renew(self, path: str) -> dict[str, Any]:
        """Make a chat with a message and the like, for calls that need something that is there.

        :param path: the call's, which may end the account that it names.
        :return: values for the parameters and fields of these names.
        """
        if path.startswith("/api/v1/users/"):
            self._renew_guest()
        members = [self.ids["member"], self.ids["guest"]]
        chat = self._post("/chats", by="owner", kind="group", title=uuid4().hex, member_ids=members)
        message = self._post(f"/chats/{chat['id']}/messages", by="member", body="Hello")
        invite = self._post("/invites", by="administrator", expires_in=60, uses=1)
        return {
            "chat_id": chat["id"],
            "message_id": message["id"],
            "reply_to": message["id"],
            "user_id": self.ids["guest"],
            "member_ids": members[:1],
            "session_id": str(uuid4()),
            "code": invite["code"],
            "emoji": "👍",
            "limit": 10,
            "since": 1,
            "before": 5,
            "body": "Some *text*",
            "title": "Title",
            "kind": "group",
            "q": "hello",
            "username": f"new-{uuid4().hex[:8]}",
            "password": PASSWORD,
            "display_name": "Name",
            "invite": invite["code"],
            "nonce": uuid4().hex,
            "seq": 1,
            "expires_in": 60,
            "uses": 2,
        }

    def _renew_guest(self) -> None:
        """Make an account for someone whom calls are about, and who makes none."""
        account = {"username": f"guest-{uuid4().hex[:8]}", "password": PASSWORD}
        self.ids["guest"] = self._post("/auth/register", **account)["user"]["id"]

    def _post(self, path: str, by: str = "stranger", **body: Any) -> dict[str, Any]:
        response = self.client.post(path, json=body, headers=self.headers(by))
        assert response.is_success, response.text
        answer: dict[str, Any] = response.json()
        return answer


@pytest.fixture(scope="module")
def world(parley: ParleyServer) -> Iterator[World]:
    """The people and things of a Parley that nothing but the cases use."""
    world = World(parley.url)
    yield world
    world.client.close()


@dataclass(frozen=True)
class Call:
    """One call of the interface."""

    operation: Any
    protected: bool

    def cases(self, known: dict[str, Any]) -> st.SearchStrategy[tuple[str, Any]]:
        """Who calls, and with what: valid, or invalid in some way; often about something that is there."""
        modes = [GenerationMode.POSITIVE]
        if self.operation.path.startswith("/api/"):
            modes.append(GenerationMode.NEGATIVE)
        cases = st.one_of(*(self.operation.as_strategy(generation_mode=mode) for mode in modes))

        @st.composite
        def build(draw: st.DrawFn) -> tuple[str, Any]:
            case = draw(cases)
            for place in (case.path_parameters, case.query, case.body):
                if isinstance(place, dict):
                    for name in known.keys() & place.keys():
                        if draw(st.integers(0, 3)):
                            place[name] = known[name]
            return draw(st.sampled_from(CALLERS)), case

        return build()


@cache
def calls(url: str) -> list[Call]:
    """All calls that the description of a running Parley names."""
    load_all_checks()
    schema = schemathesis.openapi.from_url(f"{url}/api/openapi.json")
    operations = [found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)]
    return [Call(operation, bool(operation.definition.raw.get("security"))) for operation in operations]


def explained(response: Any) -> None:
    """Expect that a refusal is a problem document (RFC 9457) with a code that fits its status."""
    if response.status_code >= 400:
        assert response.headers["content-type"] == [PROBLEM]
        problem = response.json()
        assert problem["status"] == response.status_code
        assert problem["code"] in CODES[response.status_code]
        assert problem["title"]
        assert problem["detail"]
        assert (problem["code"] == "validation_failed") == ("field" in problem and response.status_code == 422)


def answers_as_described(call: Call, world: World, settings: hypothesis.settings) -> Counter[int]:
    """Try many cases of a call.

    :return: how often it answered with which status.
    """
    statuses: Counter[int] = Counter()

    @settings
    @given(call.cases(world.renew(call.operation.path)))
    def answer_fits(drawn: tuple[str, Any]) -> None:
        caller, case = drawn
        response = case.call(headers=world.headers(caller))
        statuses[response.status_code] += 1
        case.validate_response(response, checks=CHECKS)
        explained(response)
        if call.protected:
            assert (response.status_code == 401) <= (caller == "stranger")
            assert (caller == "stranger") <= (response.status_code in {401, 422})
        if response.status_code == 204 and ("logout" in case.path or "sessions" in case.path):
            world.sign_in(caller)

    answer_fits()
    return statuses


@pytest.mark.timeout(600)  # hundreds of requests, maybe on a busy machine
def test_every_call_answers_every_caller_as_the_description_says(
    world: World, effort: Effort, tried: Callable[[str], None]
) -> None:
    statuses: Counter[int] = Counter()
    for call in calls(world.url):
        statuses += answers_as_described(call, world, effort.settings(CASES))
    assert {200, 201, 204, 401, 403, 404, 422} <= statuses.keys()
    tried(f"{statuses.total()} requests of {len(calls(world.url))} calls, answered {dict(sorted(statuses.items()))}")
