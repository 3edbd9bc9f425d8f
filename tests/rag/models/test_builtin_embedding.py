"""The built-in embeddings, against the suite and against wordllama itself."""

import asyncio
import io
import os
import subprocess
import sys
import time

import numpy as np
import pytest

from rag.models.builtin_embedding import BuiltinEmbedding
from tests.rag.models.suite_embedding import TEXTS, EmbeddingModelSuite


@pytest.fixture
def model() -> BuiltinEmbedding:
    return BuiltinEmbedding()


class TestBuiltin(EmbeddingModelSuite):
    pass


def test_vectors_are_wordllamas_own(model: BuiltinEmbedding) -> None:
    # In a process of its own: the import configures the root logger.
    code = """
import sys
from pathlib import Path
import numpy, wordllama
model = wordllama.WordLlama.load(cache_dir=Path(wordllama.__file__).parent, disable_download=True, dim=256)
numpy.save(sys.stdout.buffer, model.embed(sys.stdin.read().split("|"), norm=True))
"""
    texts = [text for text in TEXTS if text.strip() and text.isprintable()]
    run = subprocess.run(
        [sys.executable, "-c", code], input="|".join(texts).encode(), capture_output=True, check=True
    )
    expected = np.load(io.BytesIO(run.stdout))
    np.testing.assert_allclose(model.embed_now(texts).vectors, expected, atol=1e-5)


def test_similar_texts_are_near(model: BuiltinEmbedding) -> None:
    cat, kitten, tax = model.embed_now(
        ["The cat sleeps on the sofa.", "A kitten naps on the couch.", "Income tax is due in May."]
    ).vectors
    assert cat @ kitten > cat @ tax + 0.2


def test_opening_is_quick_and_quiet() -> None:
    code = """
import time, logging, sys
start = time.perf_counter()
from rag.models.builtin_embedding import BuiltinEmbedding
model = BuiltinEmbedding()
vector = model.embed_now(["hello"]).vectors
took = time.perf_counter() - start
assert not logging.getLogger().handlers
assert "wordllama" not in sys.modules
print(took)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(run.stdout) < 3  # 0.2 s measured; the rest is for a busy machine
    assert run.stderr == ""


def test_usable_after_a_fork(model: BuiltinEmbedding) -> None:
    expected = model.embed_now(["hello"]).vectors
    pid = os.fork()
    if pid == 0:
        same = np.array_equal(model.embed_now(["hello"]).vectors, expected)
        os._exit(0 if same else 1)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            assert os.waitstatus_to_exitcode(status) == 0
            return
        time.sleep(0.01)
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    pytest.fail("the forked process hangs")


async def test_the_loop_goes_on_while_documents_are_embedded(model: BuiltinEmbedding) -> None:
    texts = ["A sentence about nothing in particular, again and again. " * 20] * 2_000
    work = asyncio.create_task(model.embed(texts))
    longest, last = 0.0, time.perf_counter()
    while not work.done():
        await asyncio.sleep(0.001)
        now = time.perf_counter()
        longest, last = max(longest, now - last), now
    await work
    assert longest < 0.25


@pytest.mark.parametrize("rows", [1, 2, 3, 7])
def test_gathering_in_pieces_changes_nothing(
    model: BuiltinEmbedding, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    texts = [*TEXTS[:5], "one", "one two three four five six seven eight nine ten", ""]
    expected = model.embed_now(texts)
    monkeypatch.setattr("rag.models.builtin_embedding._ROWS_PER_GATHER", rows)
    pieces = model.embed_now(texts)
    np.testing.assert_allclose(pieces.vectors, expected.vectors, atol=1e-5)
    assert pieces.token_count == expected.token_count
