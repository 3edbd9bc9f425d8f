"""naive and one, on real files."""

import json
import time
import tracemalloc

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deepdoc.errors import FileTooLarge, MalformedFile, NoTextInFile, ParseError, UnsupportedFile
from rag.chunking import check_supported, chunk_document
from rag.chunking.merge import hard_limit
from rag.errors import UnknownChunkMethod
from rag.text.tokens import count_tokens
from tests import files


@pytest.fixture
def cut(tmp_path):
    def cut(name, content, method="naive", **config):
        path = tmp_path / "upload"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return list(chunk_document(method, path, name, config))

    return cut


def contents(drafts):
    return [draft.content for draft in drafts]


# What is refused


@pytest.mark.parametrize("method", ["qa", "manual", "table", "book", "", "Naive", "../naive"])
def test_unknown_method(cut, method):
    message = f"chunk method '{method}' is not available in this version; available: naive, one"
    with pytest.raises(UnknownChunkMethod) as refused:
        cut("a.txt", "text", method)
    assert str(refused.value) == message


@pytest.mark.parametrize("name", ["a.csv", "a.json", "a.py"])
def test_one_does_not_take_every_file(name):
    check_supported("naive", name)
    check_supported("general", name)
    with pytest.raises(UnsupportedFile, match="Chunk method 'one' does not read"):
        check_supported("one", name)


@pytest.mark.parametrize("name", ["a.xlsx", "a.PPTX", "a.jpg", "a.eml", "noext", ".pdf.zip"])
def test_unsupported_file(name):
    with pytest.raises(UnsupportedFile, match=r"This version cannot read .*docx.*pdf"):
        check_supported("naive", name)


@pytest.mark.parametrize("name", ["A.TXT", "b.Pdf", "c.MARKDOWN", "d.tar.json", "folder\\e.html"])
def test_extensions_in_any_case(name):
    check_supported("naive", name)


@pytest.mark.parametrize("method", ["naive", "one"])
def test_external_layout_engine_is_refused(cut, method):
    with pytest.raises(UnsupportedFile, match="layout_recognize 'MinerU' is not available"):
        cut("a.pdf", files.manual_pdf(), method, layout_recognize="MinerU")


@pytest.mark.parametrize("method", ["naive", "one"])
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.txt", b""),
        ("a.txt", b" \n"),
        ("a.html", b"<script>x</script>"),
        ("a.pdf", files.scanned_pdf()),
        ("a.docx", files.docx_with_document(files.word_xml(""))),
    ],
)
def test_no_text(cut, method, name, content):
    with pytest.raises(NoTextInFile, match=name):
        cut(name, content, method)


# naive


def test_text_pieces_keep_their_delimiter(cut):
    drafts = cut("a.txt", "One. Two! 三。四", chunk_token_num=1, delimiter="!。")
    assert contents(drafts) == ["One. Two!", "三。", "四"]
    assert [draft.positions for draft in drafts] == [[(n + 1, n, n, n, n)] for n in range(3)]


def test_text_is_merged_up_to_the_limit(cut):
    text = "".join(f"Line {n} of the text.\n" for n in range(400))
    drafts = cut("a.txt", text, chunk_token_num=64, delimiter="\\n")
    assert "\n".join(contents(drafts)) == text.strip()
    for draft in drafts[:-1]:
        assert 64 < count_tokens(draft.content) <= 64 + 12


def test_custom_delimiters_in_text_still_merge(cut):
    assert contents(cut("a.txt", "a##b c##d", chunk_token_num=512, delimiter="`##`")) == ["a##b c##d"]
    assert contents(cut("a.txt", "a b##c d##e", chunk_token_num=1, delimiter="`##`")) == [
        "a b##",
        "c d##",
        "e",
    ]


def test_custom_delimiters_elsewhere_cut(cut):
    drafts = cut("a.html", "<p>a##b c</p><p>d</p>", chunk_token_num=512, delimiter="`##`")
    assert contents(drafts) == ["a", "b c", "d"]


def test_children(cut):
    text = "First sentence. Second one? Third."
    drafts = cut("a.txt", text, chunk_token_num=512, children_delimiter=".?")
    assert contents(drafts) == ["First sentence.", " Second one?", " Third."]
    assert {draft.parent for draft in drafts} == {text}
    assert {tuple(draft.positions) for draft in drafts} == {((1, 0, 0, 0, 0),)}


def test_pdf_positions(cut):
    (draft,) = cut("a.pdf", files.manual_pdf(1), chunk_token_num=512, layout_recognize="DeepDOC")
    assert draft.content.startswith("Pump manual, revision 7\n")
    assert "1. Chapter 1\nThe pump on page 1 delivers 10 litres" in draft.content
    assert len(draft.positions) >= 4
    for page, left, right, top, bottom in draft.positions:
        assert page == 1
        assert 0 <= left < right <= files.WIDTH
        assert 0 <= top < bottom <= files.HEIGHT


def test_pdf_plain_text_has_no_positions(cut):
    drafts = cut("a.pdf", files.manual_pdf(2), chunk_token_num=512, layout_recognize="Plain Text")
    assert [draft.positions for draft in drafts] == [[]]
    assert "Page 1 of 2" in drafts[0].content


def test_pdf_page_ranges(cut):
    text = "\n".join(contents(cut("a.pdf", files.manual_pdf(9), pages=[[2, 4], [8, 9]])))
    assert [page for page in range(1, 10) if f"on page {page} " in text] == [2, 3, 8]


def test_pdf_overlap_and_children(cut):
    drafts = cut(
        "a.pdf", files.manual_pdf(6), chunk_token_num=50, overlapped_percent=20, children_delimiter="`. `"
    )
    assert all(draft.parent for draft in drafts)
    assert all(draft.positions for draft in drafts)


def test_docx_tables_say_where_they_stand(cut):
    drafts = cut("report.docx", files.report_docx(), chunk_token_num=512)
    tables = [draft.content for draft in drafts if draft.kind == "table"]
    assert tables[0].startswith(
        "<table><caption>Table Location: report.docx &gt; Results &gt; Figures</caption>\n<tr>"
    )
    assert "长城</caption>" in tables[1]
    assert drafts[0].kind == ""
    assert "After the table." in drafts[0].content


def test_csv(cut):
    (draft,) = cut("a.csv", files.towers_csv(), chunk_token_num=512)
    assert draft.content.split("\n")[-1] == 'name：长城; year：1368; note：说 "墙"'


def test_markdown_stays_below_the_limit(cut):
    drafts = cut("a.md", files.manual_markdown(), chunk_token_num=40)
    assert all(count_tokens(draft.content) <= 40 for draft in drafts if not draft.kind)
    assert [draft.kind for draft in drafts].count("table") == 2
    text = "\n".join(contents(drafts))
    assert "| seal | 3,50 |" in text
    assert "<td>seal</td><td>3,50</td>" in text
    assert "file:///etc/passwd" in text  # quoted, never opened


def test_html_tables_come_last(cut):
    drafts = cut("a.html", files.web_page(), chunk_token_num=512)
    assert [draft.kind for draft in drafts] == ["", "table"]
    assert drafts[0].content.startswith("# Cape Arkona\nThe lighthouse")
    assert "## Facts" in drafts[0].content


def test_json_pieces(cut):
    value = {"towers": [{"name": f"tower {n}", "note": "word " * 10} for n in range(200)]}
    drafts = cut("a.json", json.dumps(value), chunk_token_num=128)
    assert len(drafts) > 20
    found = set()
    for draft in drafts:
        for piece in draft.content.split("\n"):
            found |= json.loads(piece)["towers"].keys()
    assert found == {str(n) for n in range(200)}


def test_reports_progress(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(files.manual_pdf(5))
    seen = []
    list(
        chunk_document(
            "naive", path, "a.pdf", {}, report=lambda share, message: seen.append((share, message))
        )
    )
    assert seen[0] == (0.0, "Start to parse.")
    assert seen[-1] == (1.0, "Finish parsing.")
    assert [share for share, _ in seen] == sorted(share for share, _ in seen)


def test_a_report_that_raises_stops_the_reading(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(files.manual_pdf(50))

    class Cancelled(Exception):
        pass

    def report(share, message):
        if share > 0.3:
            raise Cancelled

    with pytest.raises(Cancelled):
        list(chunk_document("naive", path, "a.pdf", {}, report=report))


# Large and hostile


@pytest.mark.parametrize("name", ["a.txt", "a.md", "a.html", "a.csv"])
@pytest.mark.parametrize("unit", ["word ", "a", "长城。", "a,b;c "])
def test_ten_megabytes_on_one_line(cut, name, unit):
    start = time.monotonic()
    drafts = cut(name, unit * (10_000_000 // len(unit.encode())), chunk_token_num=512, delimiter="\n")
    assert time.monotonic() - start < 60
    assert len(drafts) > 500
    for draft in drafts[:: len(drafts) // 50]:
        assert count_tokens(draft.content) <= hard_limit(512)


def test_long_text_is_read_in_bounded_memory(tmp_path):
    path = tmp_path / "f.txt"
    path.write_text("".join(f"Line {n} holds a few words and a number.\n" for n in range(120_000)))
    count_tokens("the table of tokens is loaded")
    tracemalloc.start()
    count = sum(1 for _ in chunk_document("naive", path, "f.txt", {"chunk_token_num": 512}))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count > 2000
    assert peak < 12 << 20, peak


def test_control_characters_never_get_through(cut):
    for name in ("a.txt", "a.md", "a.csv", "a.html", "a.json"):
        text = '{"a": "b\u0000\u0007c"}' if name.endswith("json") else "b\u0000\u0007c \u200fd"
        for draft in cut(
            name, text + " " * 300 if name != "a.json" else json.dumps({"a": "b\x00\x07c" * 30})
        ):
            assert not {"\x00", "\x07"} & set(draft.content)


names = st.sampled_from(["a.txt", "a.md", "a.html", "a.csv", "a.json", "a.jsonl", "a.pdf", "a.docx", "a.sql"])
configs = st.fixed_dictionaries(
    {},
    optional={
        "chunk_token_num": st.one_of(st.integers(-1, 100), st.none(), st.text(max_size=2)),
        "delimiter": st.text("\\n`#。.!(*[", max_size=8),
        "overlapped_percent": st.one_of(st.integers(-5, 120), st.floats(), st.none()),
        "children_delimiter": st.text("\\n`#。.!(*[", max_size=6),
        "layout_recognize": st.sampled_from(["DeepDOC", "Plain Text", "", None, True]),
        "pages": st.one_of(st.none(), st.lists(st.lists(st.integers(-3, 9), max_size=3), max_size=3)),
    },
)


@given(
    st.one_of(st.binary(max_size=600), st.text(max_size=600).map(lambda t: t.encode("utf-8", "replace"))),
    names,
    configs,
)
@settings(deadline=5000, suppress_health_check=[HealthCheck.too_slow])
def test_any_file_gives_chunks_or_a_parse_error(tmp_path_factory, content, name, config):
    path = tmp_path_factory.getbasetemp() / "any"
    path.write_bytes(content)
    try:
        drafts = list(chunk_document("naive", path, name, config))
    except ParseError as error:
        problem, drafts = str(error), []
    else:
        problem = ""
    assert (problem == "") == (drafts != [])
    for draft in drafts:
        assert draft.content.strip()
        draft.content.encode()
        assert "\x00" not in draft.content


# one


def test_one_chunk(cut):
    (draft,) = cut("a.docx", files.report_docx(), "one")
    assert draft.content.startswith("Annual report\nResults\n")
    assert "<table>" in draft.content
    assert (draft.positions, draft.kind, draft.parent) == ([], "", None)
    (page,) = cut("a.html", files.web_page(), "one")
    assert page.content.startswith("# Cape Arkona\n")
    (manual,) = cut("a.pdf", files.manual_pdf(30), "one")
    assert "on page 30 " in manual.content


def test_one_has_an_end(cut):
    with pytest.raises(FileTooLarge, match="Choose the chunk method naive"):
        cut("a.txt", "word " * 900_000, "one")


def test_contradicting_content_is_refused_at_once(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(files.manual_pdf(1))
    for method in ("naive", "one"):
        with pytest.raises(MalformedFile, match="PDF"):
            chunk_document(method, path, "a.txt", {})
