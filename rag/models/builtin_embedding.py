"""The built-in embedding model: wordllama's 256-dimension token vectors, averaged.

The weights and the tokenizer are read from the installed wheel directly, without importing `wordllama`:
that import configures the root logger and loads `requests`, and its model copies the weights to 32-bit.
Here they stay 16-bit in the mapped file, shared by every process of the machine (docs/decisions/0030).
"""

import asyncio
import importlib.util
import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from rag.chunks import FloatArray
from rag.models.protocol import Embeddings

if TYPE_CHECKING:
    from tokenizers import Tokenizer

BUILTIN_EMBEDDING = "wordllama-256@Builtin"
DIMENSION = 256

# One question costs about 20 microseconds, less than handing it to a thread and back.
_INLINE_CHARACTERS = 2_000
# Tokens gathered at a time: 16,384 rows of 256 float32 are 16 MB.
_ROWS_PER_GATHER = 16_384


class BuiltinEmbedding:
    """wordllama as an EmbeddingModel; no key, no download, about 4,500 passages a second and core.

    Opening reads the tokenizer (0.1 s, 20 MB) and maps the weights. A process may open it and fork:
    no thread is started before the first `embed`.
    """

    def __init__(self, name: str = BUILTIN_EMBEDDING) -> None:
        self._name = name
        self._tokenizer, self._weights = _open_bundled()
        self._executor: ThreadPoolExecutor | None = None
        self._lock = Lock()
        self._blank = _normalise(self._sum_rows(self._ids([" "])[0])[np.newaxis])[0]

    @property
    def name(self) -> str:
        """The name that a dataset chose, or `wordllama-256@Builtin`."""
        return self._name

    @property
    def dimension(self) -> int:
        """256."""
        return DIMENSION

    def embed_now(self, texts: Sequence[str]) -> Embeddings:
        """`embed` in the calling thread."""
        vectors = np.zeros((len(texts), DIMENSION), dtype=np.float32)
        token_count = 0
        for row, ids in enumerate(self._ids(texts)):
            token_count += len(ids)
            vectors[row] = self._sum_rows(ids) if ids else self._blank
        return Embeddings(_normalise(vectors), token_count)

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        """Embed documents in a thread of the model's own; calls queue behind each other."""
        return await asyncio.get_running_loop().run_in_executor(self._threads(), self.embed_now, texts)

    async def embed_query(self, text: str) -> FloatArray:
        """(256,) of a question."""
        is_short = len(text) <= _INLINE_CHARACTERS
        embeddings = self.embed_now([text]) if is_short else await self.embed([text])
        vector: FloatArray = embeddings.vectors[0]
        return vector

    def word_lengths(self, words: Sequence[str]) -> FloatArray:
        """(n,) lengths of the words' vectors before normalisation: long for words that tell texts apart."""
        sums = [self._sum_rows(ids) for ids in self._ids(words)]
        lengths: FloatArray = np.linalg.norm(np.array(sums).reshape(-1, DIMENSION), axis=1).astype(np.float32)
        return lengths

    async def close(self) -> None:
        """Drop texts that are still queued."""
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)
            self._executor = None

    def _threads(self) -> ThreadPoolExecutor:
        with self._lock:
            if self._executor is None:
                self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="embed")
            return self._executor

    def _ids(self, texts: Sequence[str]) -> list[list[int]]:
        clean = [text.encode("utf-8", "replace").decode("utf-8") for text in texts]
        encodings = self._tokenizer.encode_batch_fast(clean, add_special_tokens=False)
        return [encoding.ids for encoding in encodings]

    def _sum_rows(self, ids: list[int]) -> FloatArray:
        total = np.zeros(DIMENSION, dtype=np.float32)
        for start in range(0, len(ids), _ROWS_PER_GATHER):
            rows = self._weights[ids[start : start + _ROWS_PER_GATHER]]
            total += rows.astype(np.float32).sum(axis=0)
        return total


def _normalise(vectors: FloatArray) -> FloatArray:
    """Rows to length 1; the direction of a mean is that of the sum, so no row was divided before."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: FloatArray = vectors / np.maximum(lengths, np.finfo(np.float32).tiny)
    return unit


def _open_bundled() -> "tuple[Tokenizer, npt.NDArray[np.float16]]":
    """The tokenizer and the mapped (32000, 256) float16 weights of the installed wheel."""
    # Each worker process has a core to itself; tokenizer threads would survive no fork.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from tokenizers import Tokenizer

    spec = importlib.util.find_spec("wordllama")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(
            "wordllama is not installed: the built-in embeddings are read from its wheel"
        )
    folder = Path(spec.submodule_search_locations[0])
    tokenizer = Tokenizer.from_file(str(folder / "tokenizers" / "l2_supercat_tokenizer_config.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()

    path = folder / "weights" / "l2_supercat_256.safetensors"
    with path.open("rb") as file:
        header_length = int.from_bytes(file.read(8), "little")
        tensor = json.loads(file.read(header_length))["embedding.weight"]
    if tensor["dtype"] != "F16" or tensor["shape"][1] != DIMENSION:
        raise ValueError(
            f"{path} holds {tensor['dtype']} {tensor['shape']}, not float16 of {DIMENSION} columns"
        )
    row_count = int(tensor["shape"][0])
    offset = 8 + header_length + int(tensor["data_offsets"][0])
    weights = np.memmap(path, dtype=np.float16, mode="r", offset=offset, shape=(row_count, DIMENSION))
    return tokenizer, np.asarray(weights)  # indexing a memmap object itself is slow
