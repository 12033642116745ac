"""Someone who uses Parley through its REST interface."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import httpx

from tests.support.socket import Socket

PASSWORD = "correct horse battery staple"
UNKNOWN_ID = "01900000-0000-7000-8000-000000000000"
"""The id of nothing; the same in every run, since the names of tests must not differ between runs."""


class Person:
    """A person at one device: a REST client that carries the token of one session."""

    def __init__(self, url: str, *, username: str | None = None, password: str = PASSWORD) -> None:
        """Someone who has no account yet: see `register`, `sign_in` and `registered`.

        :param url: where Parley is, such as `http://127.0.0.1:8080`.
        :param username: a new one if not given.
        """
        self.url = url
        self.username = username or f"person-{uuid4().hex[:12]}"
        self.password = password
        self.id = ""
        self.token = ""
        self.cookie = ""
        self.session_id = ""
        # Nothing here speaks TLS, and its certificates would take longer to load than a request.
        self._client = httpx.AsyncClient(base_url=f"{url}/api/v1", timeout=30, trust_env=False, verify=False)

    @classmethod
    @asynccontextmanager
    async def registered(cls, url: str, **fields: str) -> AsyncIterator[Self]:
        """Someone with a new account, signed in to it.

        :param fields: of `register`, and `username` and `password` if they matter.
        """
        account = {name: fields.pop(name) for name in ("username", "password") if name in fields}
        async with cls(url, **account) as person:
            await person.register(**fields)
            yield person

    async def register(self, **fields: str) -> dict[str, Any]:
        """Sign up, and stay signed in.

        :param fields: what else to send, such as `display_name` and `invite`.
        :return: the answer's body.
        """
        return await self._enter("/auth/register", {**self._credentials, **fields})

    async def sign_in(self) -> dict[str, Any]:
        """Sign in with the password, in a new session.

        :return: the answer's body.
        """
        return await self._enter("/auth/login", self._credentials)

    async def get(self, path: str, **query: Any) -> httpx.Response:
        """Ask for a path below `/api/v1`."""
        return await self._client.get(path, params=query)

    async def post(self, path: str, **body: Any) -> httpx.Response:
        """Post JSON to a path below `/api/v1`."""
        return await self._client.post(path, json=body)

    async def patch(self, path: str, **body: Any) -> httpx.Response:
        """Change what is at a path below `/api/v1`."""
        return await self._client.patch(path, json=body)

    async def put(self, path: str) -> httpx.Response:
        """Put a thing at a path below `/api/v1`."""
        return await self._client.put(path)

    async def delete(self, path: str) -> httpx.Response:
        """Delete what is at a path below `/api/v1`."""
        return await self._client.delete(path)

    async def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Any other request, with options as `httpx` takes them: for headers and bodies that are wrong."""
        return await self._client.request(method, path, **options)

    async def private_chat(self, other: "Person") -> dict[str, Any]:
        """Their private chat, made when missing."""
        return _done(await self.post("/chats", kind="private", member_ids=[other.id]))

    async def group_chat(self, *others: "Person", title: str = "Group") -> dict[str, Any]:
        """A new group chat, owned by this person, with all these people."""
        return _done(await self.post("/chats", kind="group", title=title, member_ids=[other.id for other in others]))

    async def say(self, chat_id: str, body: str, **fields: Any) -> dict[str, Any]:
        """Send a message by REST.

        :param fields: `nonce` and `reply_to`, if they matter.
        :return: the message.
        """
        return _done(await self.post(f"/chats/{chat_id}/messages", body=body, **fields))

    def socket(self) -> AbstractAsyncContextManager[Socket]:
        """This person's connection to `/ws`, with the token."""
        address = self.url.replace("http", "ws", 1) + "/ws"
        return Socket.connect(address, {"Authorization": f"Bearer {self.token}"})

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    @property
    def _credentials(self) -> dict[str, str]:
        return {"username": self.username, "password": self.password}

    async def _enter(self, path: str, body: dict[str, str]) -> dict[str, Any]:
        response = await self._client.post(path, json=body)
        answer = _done(response)
        self.id, self.session_id, self.token = answer["user"]["id"], answer["session"]["id"], answer["token"]
        self.cookie = response.cookies["parley_session"]
        # One credential a request: with both, a test could not tell which of them was accepted.
        self._client.cookies.clear()
        self._client.headers["Authorization"] = f"Bearer {self.token}"
        return answer


def _done(response: httpx.Response) -> dict[str, Any]:
    request = response.request
    assert response.is_success, f"{request.method} {request.url}: {response.status_code} {response.text}"
    body: dict[str, Any] = response.json()
    return body
