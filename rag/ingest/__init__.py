"""From chunk drafts to chunks that a store can take: ids, words, token counts, vectors."""

from rag.ingest.chunks import SourceDocument
from rag.ingest.embedding import embed_one, filename_weight
from rag.ingest.pipeline import IngestTimes, ingest

__all__ = ["IngestTimes", "SourceDocument", "embed_one", "filename_weight", "ingest"]
