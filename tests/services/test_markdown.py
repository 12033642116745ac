import time
from html.parser import HTMLParser
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.markdown import DEEPEST, MOST_CELLS, render

LONGEST = 16_000
VOID = {"br", "hr", "img", "input"}
HARMLESS = VOID - {"img"} | {
    "a", "blockquote", "code", "del", "em", "h1", "h2", "h3", "h4", "h5", "h6", "li", "ol", "p", "pre", "strong",
    "table", "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip
PATTERNS = [
    "> ", "- ", "*", "**a", "_", "~~", "[", "![", "](", "[a](", "<", "`", "``a `", "|", "a|\n-|\n", "www.", "http://",
    "a@", "a.b@c.", "https://a.", "&", "<!--", "\\", "(", "*a **b ", "[x]: y\n", "[a]\n", "- [ ] a\n", "<?", "***",
    "[a]", "<http://a>", ">\n", "\t", "#\n", "1. ", "`a", '"', "<a ", "\U0001f600",
]  # fmt: skip


class Outline(HTMLParser):
    """What is in a piece of HTML: its tags, links, text and depth."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.open: list[str] = []
        self.depth = 0
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)
            self.depth = max(self.depth, len(self.open))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def link(self) -> str | None:
        return dict(self.attributes).get("href")


def test_plain_text_becomes_a_paragraph() -> None:
    assert render("Hello") == "<p>Hello</p>\n"


def test_every_line_break_is_kept() -> None:
    assert render("one\ntwo") == "<p>one<br>\ntwo</p>\n"


@pytest.mark.parametrize(
    ("body", "html"),
    [
        ("**strong** *em* ~~gone~~ `code`", "<strong>strong</strong> <em>em</em> <del>gone</del> <code>code</code>"),
        ("# Title", "<h1>Title</h1>"),
        ("- one\n- two", "<ul>\n<li>one</li>\n<li>two</li>\n</ul>"),
        ("3. three", '<ol start="3">\n<li>three</li>\n</ol>'),
        ("> said", "<blockquote>\n<p>said</p>\n</blockquote>"),
        ("```python\nx = 1\n```", '<pre><code class="language-python">x = 1\n</code></pre>'),
        ("| a |\n| :-: |\n| b |", '<td align="center">b</td>'),
        ("---", "<hr>"),
    ],
)
def test_github_flavoured_markdown_is_rendered(body: str, html: str) -> None:
    assert html in render(body)


def test_a_task_list_shows_boxes_that_cannot_be_ticked() -> None:
    outline = Outline(render("- [x] done\n- [ ] open"))
    assert outline.tags.count("input") == 2
    assert outline.attributes.count(("disabled", "")) == 2
    assert outline.attributes.count(("checked", "")) == 1
    assert outline.attributes.count(("type", "checkbox")) == 2


def test_html_in_a_text_is_shown_as_text() -> None:
    outline = Outline(render("<b onclick=alert(1)>x</b> <script>alert(1)</script>"))
    assert outline.tags == ["p"]
    assert outline.text.strip() == "<b onclick=alert(1)>x</b> <script>alert(1)</script>"


@pytest.mark.parametrize("address", ["https://example.org/a?b=c&d=e", "http://example.org/", "mailto:a@example.org"])
def test_a_link_opens_elsewhere_and_carries_no_referrer(address: str) -> None:
    outline = Outline(render(f"[here]({address})"))
    assert outline.link() == address
    assert ("target", "_blank") in outline.attributes
    assert ("rel", "noopener noreferrer nofollow") in outline.attributes


def test_a_bare_address_becomes_a_link() -> None:
    assert Outline(render("see https://example.org/x.")).link() == "https://example.org/x"


@pytest.mark.parametrize(
    "address",
    [
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "java&#10;script:alert(1)",
        "&#106;avascript:alert(1)",
        "data:text/html,x",
        "vbscript:x",
        "file:///etc/passwd",
        "blob:https://example.org/x",
    ],
)
@pytest.mark.parametrize("form", ["[x]({})", "<{}>", "![x]({})", "[x]\n\n[x]: {}"])
def test_an_address_that_could_run_something_is_no_link(form: str, address: str) -> None:
    link = Outline(render(form.format(address))).link() or ""
    assert urlsplit(link).scheme in {"", "http", "https"}


def test_an_image_becomes_a_link_to_it() -> None:
    outline = Outline(render("![a cat](https://example.org/cat.png)"))
    assert outline.tags == ["p", "a"]
    assert outline.text.strip() == "a cat"
    assert outline.link() == "https://example.org/cat.png"


def test_an_image_without_a_description_is_named_by_its_address() -> None:
    assert Outline(render("![](https://example.org/cat.png)")).text.strip() == "https://example.org/cat.png"


def test_an_images_description_cannot_smuggle_html_in() -> None:
    outline = Outline(render('![" onerror="x" <b>](https://example.org/ "\\" onload=\\"x")'))
    assert outline.tags == ["p", "a"]
    assert {name for name, _ in outline.attributes} == {"href", "target", "rel"}


def test_a_code_block_takes_no_other_class_than_its_language() -> None:
    html = render('```"x onclick=y\ncode\n```')
    assert Outline(html).tags == ["pre", "code"]
    assert all(name == "class" and (value or "").startswith("language-") for name, value in Outline(html).attributes)


@pytest.mark.parametrize(
    "body",
    [
        "> " * 8000,
        "- " * 7999 + "a",
        "1. " * 5000 + "a",
        ">- " * 5000 + "a",
        "**" * 3999 + "a" + "**" * 3999,
        "*a " * 3999 + "a" + "*" * 3999,
    ],
    ids=["quotes", "lists", "numbers", "quoted lists", "strong", "emphasis"],
)
def test_deep_nesting_is_cut_off(body: str) -> None:
    outline = Outline(render(body))
    assert 10 < outline.depth <= DEEPEST
    assert not outline.open


def test_the_text_of_what_is_nested_too_deeply_stays() -> None:
    assert Outline(render("> " * 100 + "still here")).text.strip() == "still here"


def test_nesting_as_people_use_it_is_kept() -> None:
    outline = Outline(render("\n".join("  " * level + "- x" for level in range(10)) + "\n\n" + "- y\n" * 100))
    assert outline.tags.count("ul") == 10


@pytest.mark.parametrize("columns", [10, 100, 2000])
@pytest.mark.parametrize("row", ["|\n", "a\n", "||\n"])
def test_short_table_rows_are_not_filled_up_to_millions_of_cells(columns: int, row: str) -> None:
    body = ("|a" * columns + "|\n" + "|-" * columns + "|\n" + row * LONGEST)[:LONGEST]
    html = render(body)
    assert html.count("<td") <= MOST_CELLS
    assert len(html) < 10 * LONGEST


def test_a_long_table_is_still_a_table() -> None:
    body = "| a | b | c |\n| - | - | - |\n" + "| 1 | 2 | 3 |\n" * 500
    assert render(body).count("<td") == 1500


@pytest.mark.parametrize("pattern", PATTERNS)
def test_no_pattern_takes_long_or_grows_much(pattern: str) -> None:
    body = (pattern * LONGEST)[:LONGEST]
    started = time.perf_counter()
    html = render(body)
    assert time.perf_counter() - started < 0.5
    assert len(html) < 15 * LONGEST


# The slowest among single patterns, pairs of them, and halves of one and another, as measured.
SLOWEST = ["a+b@www.", "a+b@a.", "a+b@a.b@c.", ">\n- - ", "a@b.c_a\\", "- - ~~~\n", "*_", "#\n- - ", "[a](b) ", "&a;"]
SLOWER = 1000
"""Times as slow as plain text that a text may be; 190 times was measured."""


def test_no_text_takes_out_of_all_proportion_longer_than_plain_text() -> None:
    def seconds(pattern: str) -> float:
        body = (pattern * LONGEST)[:LONGEST]
        taken = []
        for _ in range(3):
            started = time.process_time()
            render(body)
            taken.append(time.process_time() - started)
        return min(taken)

    plain = max(seconds("plain words here "), 0.0001)
    slowest = max((seconds(pattern) / plain, pattern) for pattern in [*PATTERNS, *SLOWEST])
    assert slowest < (SLOWER, "")


@settings(deadline=None, max_examples=200)
@given(st.lists(st.sampled_from([*"<>&\"'`*_[]()!#|-:\\ \n\ta1.~", "http://x.y", "javascript:", "<img src=x>"])))
def test_any_text_becomes_harmless_and_well_formed_html(parts: list[str]) -> None:
    outline = Outline(render("".join(parts)))
    assert not outline.open
    assert set(outline.tags) <= HARMLESS
    assert {name for name, _ in outline.attributes} <= {
        "align", "checked", "class", "disabled", "href", "rel", "start", "target", "title", "type"
    }  # fmt: skip
