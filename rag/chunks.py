"""The chunk: what is indexed, and what a question finds."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import xxhash

FloatArray = npt.NDArray[np.float32]

Position = tuple[int, int, int, int, int]
"""page (1-based), left, right, top, bottom; formats without geometry use (n+1, n, n, n, n)."""


@dataclass(slots=True)
class Chunk:
    """One searchable passage of a document, as it is written to a store.

    words: the pre-tokenised form of `content` (`rag.text.tokenizer.words`), terms joined by one space;
        the same for `title_words` (document name), `keyword_words`, `question_words`. Engines split
        on white space and analyse nothing themselves.
    kind: "" for text, "table", "image".
    parent_id: id of the parent chunk when the chunk is a child, else "".
    is_parent: a parent chunk: never searched, listed or counted, only fetched in the place of its children.
        It needs no words and no vector (an empty array); its id may equal a child's.
    order: place in the document, 0-based; the order of a listing.
    created_at: seconds since the epoch.
    token_count: cl100k_base tokens of `content`.
    vector: (d,) float32, L2-normalised.
    """

    id: str
    dataset_id: str
    document_id: str
    document_name: str
    content: str
    words: str
    title_words: str
    vector: FloatArray
    order: int
    created_at: float
    token_count: int
    keywords: list[str] = field(default_factory=list)
    keyword_words: str = ""
    questions: list[str] = field(default_factory=list)
    question_words: str = ""
    positions: list[Position] = field(default_factory=list)
    image_id: str = ""
    kind: str = ""
    parent_id: str = ""
    is_available: bool = True
    is_parent: bool = False


def chunk_id(content: str, document_id: str) -> str:
    """xxHash64 (seed 0, 16 hex digits) of content followed by the document's id.

    Equal texts of one document are one chunk. `hello` in document b330ec2e91ec11efbc510242ac120004
    gives cc50e18a05895295.
    """
    return xxhash.xxh64((content + document_id).encode("utf-8", "surrogatepass")).hexdigest()
