import io

import pytest

from mobilenet_lab.runtime.text import accept_any_text, printable


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\x1b[2J\x9b1m", "\\x1b[2J\\x9b1m"),  # clears the terminal; bold
        ("a\nerror: b\r\u2028c", "a\\nerror: b\\r\\u2028c"),
        ("\udcff", "\\udcff"),
        ("\u202egnp.exe", "\\u202egnp.exe"),  # shows what follows from right to left
        ("数 ü ن \U0001f600", "数 ü ن \U0001f600"),
        ("\U0001f469\u200d\U0001f33e", "\U0001f469\u200d\U0001f33e"),  # one emoji of two
    ],
)
def test_printable_escapes_what_a_terminal_would_act_on(text: str, expected: str) -> None:
    assert printable(text) == expected


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [
        ("utf-8", b"\xc3\xbc\xe6\x95\xb0\xff"),
        ("latin-1", b"\xfc\\u6570\xff"),
        ("ascii", b"\\xfc\\u6570\xff"),
    ],
)
def test_every_text_is_printed_in_every_encoding(encoding: str, expected: bytes) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding)
    accept_any_text(stream)
    stream.write("ü数\udcff")
    stream.flush()
    assert stream.buffer.getvalue() == expected  # type: ignore[attr-defined]
