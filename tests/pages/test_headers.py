import re

import httpx
import pytest

from tests.support.person import Person
from tests.support.server import ParleyServer


@pytest.fixture
async def client(server: ParleyServer, administrator: Person) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=server.url, trust_env=False)


async def test_every_script_and_style_of_a_page_has_the_nonce_of_this_answer(client: httpx.AsyncClient) -> None:
    nonces = set()
    async with client:
        for _ in range(2):
            answer = await client.get("/sign-in")
            policy = answer.headers["content-security-policy"]
            (nonce,) = set(re.findall(r"'nonce-([\w-]+)'", policy))
            tags = re.findall(r"<(?:script|style)\b[^>]*>", answer.text)
            assert tags
            assert all(f'nonce="{nonce}"' in tag for tag in tags)
            nonces.add(nonce)
    assert len(nonces) == 2


async def test_a_page_may_load_nothing_from_elsewhere_and_stand_in_no_frame(client: httpx.AsyncClient) -> None:
    async with client:
        policy = (await client.get("/sign-in")).headers["content-security-policy"]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == rules["frame-ancestors"] == rules["base-uri"] == "'none'"
    assert rules["connect-src"] == rules["form-action"] == "'self'"
    assert "'unsafe-inline'" not in policy
    assert "http" not in policy


@pytest.mark.parametrize("path", ["/sign-in", "/api/v1/me", "/static/parley.css", "/no-such-page", "/health/live"])
async def test_every_answer_is_guarded(client: httpx.AsyncClient, path: str) -> None:
    async with client:
        headers = (await client.get(path)).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["x-frame-options"] == "DENY"
    assert "default-src 'none'" in headers["content-security-policy"]
