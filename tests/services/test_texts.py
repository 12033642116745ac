import pytest

from services.errors import ValidationFailed
from services.texts import clean_body, clean_line, clean_nonce, clean_username


@pytest.mark.parametrize("name", ["ann", "a" * 32, "a_b.c-d", "007"])
def test_a_user_name_is_of_lower_case_letters_digits_and_three_signs(name: str) -> None:
    assert clean_username(name) == name


@pytest.mark.parametrize(
    "name", ["", "ab", "a" * 33, "Ann", "a b c", "änn", "ann\n", "ann\x00", "a/b/c", "\uff11\uff12\uff13"]
)
def test_any_other_user_name_is_refused(name: str) -> None:
    with pytest.raises(ValidationFailed) as refused:
        clean_username(name)
    assert refused.value.field == "username"
    assert "3 to 32" in refused.value.detail


@pytest.mark.parametrize("nonce", ["x", " ", "~" * 64, "550e8400-e29b-41d4-a716-446655440000"])
def test_a_nonce_is_of_printable_ascii(nonce: str) -> None:
    assert clean_nonce(nonce) == nonce


@pytest.mark.parametrize("nonce", ["", "x" * 65, "ä", "a\n", "\x00", "\x7f"])
def test_any_other_nonce_is_refused(nonce: str) -> None:
    with pytest.raises(ValidationFailed) as refused:
        clean_nonce(nonce)
    assert refused.value.field == "nonce"


def test_a_line_is_trimmed_before_it_is_measured() -> None:
    assert clean_line("title", "  " + "x" * 80 + " \n", longest=80) == "x" * 80


@pytest.mark.parametrize("text", ["", "   ", "x" * 81])
def test_a_line_outside_its_limits_is_refused_with_the_limit(text: str) -> None:
    with pytest.raises(ValidationFailed) as refused:
        clean_line("title", text, longest=80)
    assert refused.value.field == "title"
    assert "1 to 80" in refused.value.detail


@pytest.mark.parametrize("text", ["a\nb", "a\x00b", "a\x1b[31m", "a\u202eb", "a\u2066b", "a\x85b"])
def test_a_line_that_could_disturb_the_text_around_it_is_refused(text: str) -> None:
    with pytest.raises(ValidationFailed, match="control characters"):
        clean_line("title", text, longest=80)


@pytest.mark.parametrize(
    "text", ["\u200b", "\u200d\ufeff", "\u00ad", "\u2060 \u200b", "\u3164", "\u2800 \u2800", "\ufe0f", "\U000e0020"]
)
def test_a_text_without_anything_visible_is_refused(text: str) -> None:
    for clean in (clean_line, clean_body):
        with pytest.raises(ValidationFailed, match="something visible"):
            clean("title", text, longest=80)


@pytest.mark.parametrize(
    "text",
    [
        "👩‍👩‍👧",
        "❤️",
        "🏴\U000e0067\U000e0062\U000e007f",
        "1️⃣",
        "\U0001fae8",
        "\U0001fac6",
        "Zoë",
        "日本語",
        "عربي",
        "a  b",
    ],
)
def test_a_text_may_be_in_any_language_and_of_emoji_newer_than_python(text: str) -> None:
    for clean in (clean_line, clean_body):
        assert clean("title", text, longest=80) == text


def test_a_body_keeps_its_inner_white_space() -> None:
    assert clean_body("body", "\n a\n\n\tb \n", longest=16_000) == "a\n\n\tb"


@pytest.mark.parametrize("text", ["", " \n\t ", "x" * 16_001])
def test_a_body_outside_its_limits_is_refused_with_the_limit(text: str) -> None:
    with pytest.raises(ValidationFailed) as refused:
        clean_body("body", text, longest=16_000)
    assert refused.value.field == "body"
    assert "1 to 16000" in refused.value.detail


def test_a_body_with_nul_is_refused() -> None:
    with pytest.raises(ValidationFailed, match="NUL"):
        clean_body("body", "a\x00b", longest=16_000)
