import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rag.retrieval.fusion import blend

SIZE = 6
cosines = arrays(np.float32, SIZE, elements=st.floats(-1, 1, width=32))
shares = arrays(np.float32, SIZE, elements=st.floats(0, 1, width=32))
ranks = arrays(np.float32, SIZE, elements=st.sampled_from([0.0, 1.0, 10.0]))
weights = st.floats(0, 1)
NO_RANK = np.zeros(SIZE, np.float32)


@given(cosines, shares, ranks, weights)
def test_lies_between_its_parts(
    vector: np.ndarray, terms: np.ndarray, rank: np.ndarray, weight: float
) -> None:
    plain = blend(vector, terms, NO_RANK, weight)
    assert (plain <= np.maximum(vector, terms) + 1e-6).all()
    assert (plain >= np.minimum(vector, terms) - 1e-6).all()
    np.testing.assert_allclose(blend(vector, terms, rank, weight), plain + rank, rtol=1e-5)


@given(shares, ranks, weights)
def test_without_vectors_the_words_have_all_the_weight(
    terms: np.ndarray, rank: np.ndarray, weight: float
) -> None:
    np.testing.assert_array_equal(blend(NO_RANK, terms, rank, weight), terms + rank)


@given(cosines, shares, weights, st.permutations(range(SIZE)))
def test_order_does_not_matter(
    vector: np.ndarray, terms: np.ndarray, weight: float, order: list[int]
) -> None:
    np.testing.assert_array_equal(
        blend(vector, terms, NO_RANK, weight)[order], blend(vector[order], terms[order], NO_RANK, weight)
    )


@given(cosines, shares, weights, st.integers(0, SIZE - 1), st.floats(0, 1, width=32))
def test_more_of_either_never_lowers(
    vector: np.ndarray, terms: np.ndarray, weight: float, place: int, more: float
) -> None:
    before = blend(vector, terms, NO_RANK, weight)[place]
    vector, terms = vector.copy(), terms.copy()
    if not vector.any():
        return
    terms[place] += more
    assert blend(vector, terms, NO_RANK, weight)[place] >= before - 1e-6
