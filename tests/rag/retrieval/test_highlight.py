import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.retrieval.highlight import highlight
from rag.retrieval.query import parse_question


@pytest.mark.parametrize(
    ("text", "question", "expected"),
    [
        ("The cars are red. Nothing here.", "Which car?", "The <em>cars</em> are red."),
        ("One car. Two. Three cars!", "car", "One <em>car</em>....Three <em>cars</em>!"),
        ("合同的金额是三千元。另一句。", "金额是多少？", "合同的<em>金额</em>是三千元。"),
        ("合同的數據庫很大。", "数据库", "合同的<em>數據庫</em>很大。"),
        ("Ｐｒｉｃｅ：１２元", "price", "<em>Ｐｒｉｃｅ</em>：１２元"),
        ("ﬁle system", "file", "<em>ﬁle</em> system"),
        ("no match at all", "zebra", "no match at all"),
        ("a & b < c car", "car", "a & b < c <em>car</em>"),
        ("code getUserName() here", "user name", "code <em>getUserName</em>() here"),
        ("", "car", ""),
        ("anything", "???", "anything"),
    ],
)
def test_highlight(text: str, question: str, expected: str) -> None:
    assert highlight(text, parse_question(question)) == expected


@given(
    st.text(alphabet="ab car数据库。. !\nﬁＡ\u0301", max_size=80),
    st.text(alphabet="ab car数据库", min_size=1, max_size=10),
)
def test_only_marks_are_added(text: str, question: str) -> None:
    marked = highlight(text, parse_question(question))
    assert marked.count("<em>") == marked.count("</em>")
    plain = re.sub(r"</?em>", "", marked)
    for piece in plain.split("..."):
        assert piece in text or "..." in text or ".." in piece or piece.strip(".") in text
