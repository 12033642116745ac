import json
import re

from services import frames
from tests.ws.protocol_document import DOCUMENT, REQUESTS, document

JSON_BLOCK = re.compile(r"^### `([\w.]+)`$.*?^```json$(.*?)^```$", re.MULTILINE | re.DOTALL)


def examples() -> list[tuple[str, str]]:
    return JSON_BLOCK.findall(DOCUMENT.read_text())


def test_the_document_is_what_the_generator_makes() -> None:
    assert DOCUMENT.read_text() == document(), "run `python -m tests.ws.protocol_document`"


def test_the_document_shows_each_frame_of_both_directions_once() -> None:
    every = [*frames.CLIENT_FRAMES, *frames.SERVER_FRAMES]
    assert sorted(tag for tag, _ in examples()) == sorted(str(frame.__struct_config__.tag) for frame in every)


def test_the_server_takes_the_requests_that_the_document_shows() -> None:
    shown = [text for _, text in examples()[: len(REQUESTS)]]
    assert tuple(map(frames.decode_request, shown)) == REQUESTS


def test_each_example_is_of_the_type_under_whose_heading_it_stands() -> None:
    assert [tag for tag, _ in examples()] == [json.loads(text)["type"] for _, text in examples()]
