"""The description of the REST interface (OpenAPI 3.1), completed with what the framework cannot know."""

from typing import Any

from fastapi import FastAPI
from msgspec import json

from pages.endpoints.examples import EXAMPLES
from pages.endpoints.problems import Problem, documented
from services.errors import Forbidden, NotAuthenticated, ParleyError, ValidationFailed

JSON = "application/json"
STATE_CHANGING = frozenset({"post", "put", "patch", "delete"})


class DescribedApi(FastAPI):
    """An application whose description has an example of every answer."""

    def openapi(self) -> dict[str, Any]:
        """Return the description, made once."""
        if self.openapi_schema is None:
            described = super().openapi()
            described["components"]["schemas"]["Problem"] = Problem.model_json_schema()
            for calls in described["paths"].values():
                for method, call in calls.items():
                    _complete(method, call)
        return super().openapi()


def _complete(method: str, call: dict[str, Any]) -> None:
    answers = call["responses"]
    if method in STATE_CHANGING:
        _add(answers, Forbidden)  # whatever it does, when it comes from another site
    if "security" in call:
        _add(answers, NotAuthenticated)
    if not {"parameters", "requestBody"} & call.keys():
        answers.pop(str(ValidationFailed.status), None)
    for answer in answers.values():
        content = answer.get("content", {}).get(JSON, {})
        if (example := EXAMPLES.get(_name(content.get("schema", {})))) is not None:
            content["example"] = json.decode(json.encode(example))
    call["responses"] = dict(sorted(answers.items()))


def _add(answers: dict[str, Any], kind: type[ParleyError]) -> None:
    answers.setdefault(str(kind.status), documented(kind)[kind.status])


def _name(schema: dict[str, Any]) -> str:
    first: dict[str, Any] = schema.get("anyOf", [schema])[0]
    return str(first.get("$ref", "")).rpartition("/")[2]
