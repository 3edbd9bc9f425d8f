import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepdoc.cleaning import clean
from deepdoc.decoding import find_encoding, read_lines, read_text
from deepdoc.errors import MalformedFile

CHINESE = (
    "知识库检索增强生成是一种把检索与生成结合起来的技术。\n它先从文档里找到相关段落，再让模型据此回答问题。"
)
TAIWANESE = (
    "知識庫檢索增強生成是一種把檢索與生成結合起來的技術。\n它先從文件裡找到相關段落，再讓模型據此回答問題。"
)
JAPANESE = "東京は日本の首都であり、世界最大の都市の一つです。\nこれはテスト文書です。"
KOREAN = "서울은 대한민국의 수도이며 세계에서 가장 큰 도시 중 하나입니다.\n이것은 시험 문서입니다."
RUSSIAN = "Москва является столицей России и крупнейшим городом страны.\nЭто проверка."
GERMAN = "Größere Städte wie München und Köln haben schöne Brücken über ihre Flüsse.\n"


def decoded(tmp_path, data):
    path = tmp_path / "f.txt"
    path.write_bytes(data)
    return "".join(read_text(path, "f.txt"))


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (CHINESE, "gb18030"),
        (TAIWANESE, "big5"),
        (JAPANESE, "cp932"),
        (JAPANESE, "euc_jp"),
        (KOREAN, "cp949"),
        (RUSSIAN, "cp1251"),
        (GERMAN, "cp1252"),
    ],
)
@pytest.mark.parametrize("times", [1, 3000])
def test_legacy_encodings(tmp_path, text, encoding, times):
    assert decoded(tmp_path, (text * times).encode(encoding)) == text * times


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("text", [CHINESE, GERMAN, "plain", "emoji 🎈\n"])
def test_unicode_with_and_without_marks(tmp_path, text, encoding):
    assert decoded(tmp_path, text.encode(encoding)) == text
    assert decoded(tmp_path, (text * 3000).encode(encoding)) == text * 3000


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("text", [CHINESE, GERMAN, "plain text"])
def test_wide_encodings_without_marks(tmp_path, text, encoding):
    assert decoded(tmp_path, text.encode(encoding)) == text


def test_ascii_before_the_first_foreign_letter(tmp_path):
    """The encoding is told by the part of the file that needs one."""
    text = "x = 1\n" * 400_000 + CHINESE
    assert decoded(tmp_path, text.encode("gb18030")) == text


def test_a_few_invalid_bytes_do_no_harm(tmp_path):
    data = (CHINESE * 50).encode() + b"\xff\xfe\x80" + (CHINESE * 50).encode()
    text = decoded(tmp_path, data)
    assert text.startswith(CHINESE)
    assert text.endswith(CHINESE)
    assert 1 <= text.count("\ufffd") <= 3


def test_binary_is_refused(tmp_path):
    with pytest.raises(MalformedFile, match="binary"):
        decoded(tmp_path, b"\x00\x01\x02\x03" * 5000)


def test_stray_nul_is_dropped(tmp_path):
    assert decoded(tmp_path, b"a fine text " * 100 + b"\x00" + b"goes on") == "a fine text " * 100 + "goes on"


def test_line_end_between_two_reads(tmp_path):
    data = b"a" * ((1 << 20) - 1) + b"\r\n" + b"b\rc"
    assert decoded(tmp_path, data) == "a" * ((1 << 20) - 1) + "\nb\nc"


def test_declared_encoding_decides_when_not_utf8(tmp_path):
    path = tmp_path / "f"
    path.write_bytes("Ærøskøbing".encode("cp1252"))
    assert find_encoding(path, "f", declared="iso-8859-1") == "cp1252"
    path.write_bytes(GERMAN.encode("cp1252"))
    assert find_encoding(path, "f", declared="no-such-codec") == "cp1252"
    assert find_encoding(path, "f", declared="base64") == "cp1252"
    path.write_bytes("Ærøskøbing".encode())
    assert find_encoding(path, "f", declared="iso-8859-1") == "utf-8"


def test_clean_keeps_marks_of_direction():
    assert clean("a\u200fb\u202ec\u200dd") == "a\u200fb\u202ec\u200dd"


def test_clean_drops_controls():
    assert clean("a\x00b\x07c\ud800d\ufeffe\tf\r\ng\x0bh") == "abcde\tf\ng\nh"


@given(st.text(st.characters(codec="utf-8"), max_size=300))
def test_utf8_comes_back_clean(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "f.txt"
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert "".join(read_text(path, "f.txt")) == clean(text)


@given(st.binary(max_size=3000))
def test_any_bytes_are_text_or_refused(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "f.txt"
    path.write_bytes(data)
    start = time.monotonic()
    try:
        text = "".join(read_text(path, "f.txt"))
    except MalformedFile:
        return
    finally:
        assert time.monotonic() - start < 5
    assert "\x00" not in text
    text.encode("utf-8")


@given(st.lists(st.text("ab\n", max_size=8), max_size=8))
def test_read_lines_keeps_everything(pieces):
    lines = list(read_lines(pieces))
    assert "".join(lines) == "".join(pieces)
    assert all("\n" not in line[:-1] for line in lines)
