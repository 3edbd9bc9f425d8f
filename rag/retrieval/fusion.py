"""One score from words, vector and page rank."""

from rag.chunks import FloatArray


def blend(
    vector: FloatArray, terms: FloatArray, pagerank: FloatArray, vector_weight: float = 0.3
) -> FloatArray:
    """similarity = w * vector + (1 - w) * terms + pagerank, one per chunk; all arguments (n,).

    vector: cosine or rerank score. terms: 0..1. When no chunk has a vector similarity, the words have all
    the weight. Source: RAGFlow; convex combination, Bruch et al., arXiv:2210.11934.
    """
    if not vector.any():
        return terms + pagerank
    return vector_weight * vector + (1.0 - vector_weight) * terms + pagerank
