import contextlib
import threading
import time

import pytest

from deepdoc.blocks import BlockKind
from deepdoc.errors import EncryptedFile, MalformedFile, NoTextInFile
from deepdoc.layout.lines import Line, PageLines
from deepdoc.layout.paragraphs import join, page_blocks
from deepdoc.parsers import parse
from deepdoc.parsers.pdf import count_pages, read_lines
from tests import files


def texts(blocks):
    return [block.text for block in blocks]


def test_manual(read):
    blocks = read("a.pdf", files.manual_pdf(3))
    assert texts(blocks)[:3] == [
        "1. Chapter 1",
        (
            "The pump on page 1 delivers 10 litres per minute. It is made of stainless steel and needs no "
            "maintenance during the first year of its operation, except for a visual inspection of the seals and a "
            "measurement of the pressure."
        ),
        "Switch the pump off before you open the housing. Wait for a minute.",
    ]
    assert [block.page for block in blocks] == [1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert blocks[0].kind is BlockKind.HEADING
    assert blocks[0].level == 1


@pytest.mark.parametrize("page_count", [2, 3, 40])
def test_running_header_and_footer_are_dropped(read, page_count):
    text = "\n".join(texts(read("a.pdf", files.manual_pdf(page_count))))
    assert "revision 7" not in text
    assert "Page " not in text
    for page in range(1, page_count + 1):
        assert f"The pump on page {page} delivers {page}0 litres" in text


def test_header_of_a_single_page_stays(read):
    assert "Pump manual, revision 7" in texts(read("a.pdf", files.manual_pdf(1)))


def test_body_lines_that_only_differ_in_numbers_stay(read):
    pages = [
        [f"Row {row} of page {page} holds the value {row * page}" for row in range(50)] for page in range(5)
    ]
    text = "\n".join(texts(read("a.pdf", files.text_pdf(pages))))
    for page in range(5):
        for row in range(50):
            assert f"Row {row} of page {page} " in text


@pytest.mark.parametrize("by_rows", [False, True])
def test_columns_are_read_one_after_the_other(read, by_rows):
    text = " ".join(texts(read("a.pdf", files.two_column_pdf(by_rows=by_rows))))
    order = [word for word in text.split() if word[0] in "LR" and word[1:].isdigit()]
    assert order == [f"L{n}" for n in range(1, 13)] + [f"R{n}" for n in range(1, 13)]
    assert text.startswith("A study of two columns")


def test_chinese_lines_are_joined_without_blanks(read):
    assert texts(read("a.pdf", files.chinese_pdf())) == ["".join(files.GREAT_WALL[:3]), files.GREAT_WALL[3]]


def test_boxes_are_points_from_the_top_left(read):
    (block,) = read("a.pdf", files.text_pdf([["Hello"]]))
    assert block.box is not None
    assert block.box.left == pytest.approx(72, abs=2)
    assert block.box.bottom == pytest.approx(82, abs=3)
    assert 5 < block.box.bottom - block.box.top < 12
    assert block.box.right == pytest.approx(72 + 26, abs=6)


@pytest.mark.parametrize(
    ("rotation", "left", "top"),
    [(90, files.HEIGHT - 82, 72), (180, files.WIDTH - 72, files.HEIGHT - 82), (270, 82, files.WIDTH - 72)],
)
def test_boxes_of_rotated_pages_are_as_shown(read, rotation, left, top):
    (block,) = read("a.pdf", files.text_pdf([["Hello"]], rotation=rotation))
    box = block.box
    assert box is not None
    assert 0 <= box.left < box.right
    assert 0 <= box.top < box.bottom
    # The start of the text's baseline is a corner of the box.
    assert min(abs(box.left - left), abs(box.right - left)) < 3
    assert min(abs(box.top - top), abs(box.bottom - top)) < 3


def test_page_ranges(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(files.text_pdf([[f"This is page {n}."] for n in range(1, 8)]))
    pages = [block.page for block in parse(path, "a.pdf", pages=[(2, 4), (6, 100), (3, 4)])]
    assert pages == [2, 3, 6, 7]
    with pytest.raises(NoTextInFile, match=r"None of the 7 pages .*\[8, 10\]"):
        list(parse(path, "a.pdf", pages=[(8, 10)]))
    assert count_pages(path, "a.pdf") == 7


def test_plain_lines(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(files.text_pdf([["one", "two"], ["three"]]))
    blocks = list(read_lines(path, "a.pdf"))
    assert [(block.page, block.text, block.box) for block in blocks] == [
        (1, "one", None),
        (1, "two", None),
        (2, "three", None),
    ]


def test_scanned(read):
    with pytest.raises(
        NoTextInFile, match=r"None of the 3 pages .* text layer.*Scanned pages cannot be read yet"
    ):
        read("a.pdf", files.scanned_pdf(3))
    with pytest.raises(NoTextInFile, match=r"The only page of a.pdf holds no text layer"):
        read("a.pdf", files.scanned_pdf(1))


def test_partly_scanned(read):
    (block,) = read("a.pdf", files.scanned_pdf(3, text_on_last="Some text"))
    assert (block.text, block.page) == ("Some text", 3)


def test_encrypted(read):
    with pytest.raises(EncryptedFile, match=r"a.pdf is protected by a password"):
        read("a.pdf", files.text_pdf([["secret"]], password="open sesame"))


def test_no_pages(read):
    """Also after a file with another error, which pdfium remembers."""
    test_encrypted(read)
    with pytest.raises(MalformedFile, match=r"a.pdf has no pages"):
        read("a.pdf", files.empty_pdf())


def test_titles_of_slides_are_no_headers(read):
    assert texts(read("a.pdf", files.text_pdf([["The title"]] * 5))) == ["The title"] * 5


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.9, 0.99])
def test_truncated_file_gives_text_or_a_clear_error(read, share):
    data = files.manual_pdf(5)
    problem = ""
    try:
        assert read("a.pdf", data[: int(len(data) * share)])
    except (MalformedFile, NoTextInFile) as error:
        problem = str(error)
    assert problem == "" or "a.pdf" in problem


def test_overwritten_bytes_give_text_or_a_clear_error(read):
    data = bytearray(files.manual_pdf(3))
    for start in range(100, len(data), 997):
        damaged = bytearray(data)
        damaged[start : start + 60] = b"\xff" * 60
        with contextlib.suppress(MalformedFile, NoTextInFile, EncryptedFile):
            read("a.pdf", bytes(damaged))


def test_a_thousand_pages(read):
    start = time.monotonic()
    blocks = read("a.pdf", files.manual_pdf(1000))
    assert len(blocks) == 3000
    assert time.monotonic() - start < 60


def test_two_threads(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(files.manual_pdf(60))
    results = []

    def run():
        results.append(texts(parse(path, "a.pdf")))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    assert all(result == results[0] for result in results)


def line(text, left=72.0, top=100.0, size=10.0, right=None):
    right = left + 5 * len(text) if right is None else right
    return Line(text, left, right, top, top + size, top, top + size)


def test_join_divided_words():
    assert join([line("a meas-"), line("urement")]) == "a measurement"
    assert join([line("the Anglo-"), line("Saxon age")]) == "the Anglo-Saxon age"
    assert join([line("pages 3 -"), line("5 are")]) == "pages 3 - 5 are"
    assert join([line("知识"), line("库")]) == "知识库"
    assert join([line("知识"), line("base")]) == "知识 base"


def test_indent_and_short_last_line_part_paragraphs():
    lines = [
        line("The first paragraph starts here and is long", top=100, right=500),
        line("and ends here.", top=112),
        line("The second one follows without any space", top=124, right=500),
        line("and goes on.", top=136),
        line("   An indented third one".strip(), top=148, left=90, right=500),
        line("goes on as well", top=160),
    ]
    blocks = list(page_blocks(PageLines(1, 600, 800, lines)))
    assert len(blocks) == 3


def test_every_line_of_a_page_is_in_a_block():
    lines = [line(f"word{n}", left=(n * 37) % 400, top=(n * 53) % 700) for n in range(60)]
    text = " ".join(texts(page_blocks(PageLines(1, 600, 800, lines))))
    assert sorted(text.split()) == sorted(f"word{n}" for n in range(60))
