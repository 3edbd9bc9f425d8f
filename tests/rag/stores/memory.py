"""A chunk store in plain dictionaries: the second implementation that the suite holds to the same promises."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from rag.chunks import Chunk, FloatArray
from rag.stores.protocol import (
    Candidate,
    Choose,
    ChunkPage,
    QueryTerm,
    SearchRequest,
    SearchResult,
    StoreCounts,
    StoreHealth,
)

Name = tuple[str, str, str, bool]  # dataset, document, id, is_parent


class MemoryChunkStore:
    """Obvious rather than fast."""

    def __init__(self) -> None:
        self._rows: dict[int, Chunk] = {}  # by key; visible ones and, until fetched by nobody, replaced ones
        self._visible: dict[Name, int] = {}
        self._staged: dict[str, dict[Name, Chunk]] = {}
        self._published: dict[tuple[str, str], str] = {}
        self._next_key = 1

    def _put(self, chunk: Chunk) -> None:
        self._rows[self._next_key] = replace(chunk)
        self._visible[_name(chunk)] = self._next_key
        self._next_key += 1

    def _of(self, dataset_id: str, document_id: str | None = None) -> list[Name]:
        return [
            name
            for name in self._visible
            if name[0] == dataset_id and (document_id is None or name[1] == document_id)
        ]

    def _drop(self, name: Name) -> None:
        del self._rows[self._visible.pop(name)]

    async def stage(self, run_id: str, chunks: Sequence[Chunk]) -> None:
        self._staged.setdefault(run_id, {}).update({_name(chunk): chunk for chunk in chunks})

    async def publish(self, run_id: str, dataset_id: str, document_id: str) -> StoreCounts:
        document = (dataset_id, document_id)
        new = [chunk for name, chunk in self._staged.get(run_id, {}).items() if name[:2] == document]
        if new or self._published.get(document) != run_id:
            for name in self._of(*document):
                del self._visible[name]
            for chunk in new:
                self._put(chunk)
            self._published[document] = run_id
        self._drop_staged(lambda name: name[:2] == document)
        return await self.count(*document)

    def _drop_staged(self, matches) -> None:
        for run in self._staged.values():
            for name in [name for name in run if matches(name)]:
                del run[name]

    async def discard(self, run_id: str) -> None:
        self._staged.pop(run_id, None)

    async def upsert(self, chunks: Sequence[Chunk]) -> None:
        for chunk in chunks:
            self._put(chunk)

    async def delete_chunks(
        self, dataset_id: str, document_id: str, ids: Sequence[str] | None
    ) -> StoreCounts:
        names = [
            name
            for name in self._of(dataset_id, document_id)
            if ids is None or (name[2] in ids and not name[3])
        ]
        tokens = [self._rows[self._visible[name]].token_count for name in names if not name[3]]
        for name in names:
            self._drop(name)
        return StoreCounts(len(tokens), sum(tokens))

    async def delete_documents(self, dataset_id: str, document_ids: Sequence[str]) -> None:
        for document_id in document_ids:
            for name in self._of(dataset_id, document_id):
                self._drop(name)
            self._published.pop((dataset_id, document_id), None)
            self._drop_staged(lambda name, gone=(dataset_id, document_id): name[:2] == gone)

    async def delete_datasets(self, dataset_ids: Sequence[str]) -> None:
        for dataset_id in dataset_ids:
            for name in self._of(dataset_id):
                self._drop(name)
            self._drop_staged(lambda name, gone=dataset_id: name[0] == gone)

    async def set_available(self, dataset_id: str, document_id: str, *, is_available: bool) -> None:
        for name in self._of(dataset_id, document_id):
            self._rows[self._visible[name]].is_available = is_available

    async def rename_document(self, dataset_id: str, document_id: str, name: str, title_words: str) -> None:
        for each in self._of(dataset_id, document_id):
            row = self._rows[self._visible[each]]
            row.document_name, row.title_words = name, title_words

    async def get(self, dataset_id: str, document_id: str, chunk_id: str) -> Chunk | None:
        key = self._visible.get((dataset_id, document_id, chunk_id, False))
        return None if key is None else replace(self._rows[key])

    def _listed(self, dataset_id: str, document_id: str) -> list[Chunk]:
        rows = [self._rows[self._visible[name]] for name in self._of(dataset_id, document_id) if not name[3]]
        return sorted(rows, key=lambda chunk: chunk.order)

    async def list_chunks(
        self, dataset_id: str, document_id: str, *, offset: int, limit: int, terms: Sequence[QueryTerm] = ()
    ) -> ChunkPage:
        rows = self._listed(dataset_id, document_id)
        if terms:
            rows = [row for row in rows if _score(row, terms) > 0]
            rows.sort(key=lambda row: -_score(row, terms))
        page = [_bare(row) for row in rows[max(0, offset) : max(0, offset) + max(0, limit)]]
        return ChunkPage(len(rows), page)

    async def count(self, dataset_id: str, document_id: str) -> StoreCounts:
        rows = self._listed(dataset_id, document_id)
        return StoreCounts(len(rows), sum(row.token_count for row in rows))

    async def search(self, request: SearchRequest) -> SearchResult:
        rows = {
            key: self._rows[key]
            for name, key in self._visible.items()
            if name[0] in request.dataset_ids
            and (request.document_ids is None or name[1] in request.document_ids)
            and not name[3]
            and self._rows[key].is_available
        }
        texts = {key: score for key, row in rows.items() if (score := _score(row, request.terms)) > 0}
        cosines = (
            {}
            if request.vector is None
            else {
                key: float(row.vector @ request.vector)
                for key, row in rows.items()
                if row.vector.size == request.vector.size
            }
        )
        by_words = sorted(texts, key=lambda key: -texts[key])[: request.text_limit]
        by_vector = sorted(cosines, key=lambda key: -cosines[key])[: request.vector_limit]
        candidates = [
            Candidate(
                key,
                rows[key].id,
                rows[key].dataset_id,
                rows[key].document_id,
                rows[key].document_name,
                cosines.get(key, 0.0),
                texts.get(key, 0.0) if key in by_words else 0.0,
                rows[key].words,
                rows[key].title_words,
                rows[key].keyword_words,
                rows[key].question_words,
                rows[key].parent_id,
            )
            for key in dict.fromkeys([*by_words, *by_vector])
        ]
        searched = [self._rows[key] for key in self._visible.values()]
        frequencies = {
            term.text: sum(term.text in row.words.split() for row in searched) for term in request.terms
        }
        return SearchResult(candidates, len(searched), frequencies)

    async def search_and_fetch(self, request: SearchRequest, choose: Choose) -> dict[int | str, Chunk]:
        return await self.fetch(choose(await self.search(request)))

    async def fetch(self, keys: Sequence[int | str]) -> dict[int | str, Chunk]:
        return {key: _bare(self._rows[key]) for key in keys if key in self._rows}

    async def fetch_vectors(self, keys: Sequence[int | str]) -> dict[int | str, FloatArray]:
        return {
            key: self._rows[key].vector for key in keys if key in self._rows and self._rows[key].vector.size
        }

    async def fetch_parents(self, dataset_id: str, parent_ids: Sequence[str]) -> dict[str, Chunk]:
        return {
            name[2]: _bare(self._rows[key])
            for name, key in self._visible.items()
            if name[0] == dataset_id and name[3] and name[2] in parent_ids
        }

    async def health(self) -> StoreHealth:
        return StoreHealth(True, f"{len(self._visible)} chunks in memory")

    async def rebuild(self) -> int:
        return sum(
            1 for name in self._visible if not name[3] and self._rows[self._visible[name]].is_available
        )

    async def close(self) -> None:
        pass


def _name(chunk: Chunk) -> Name:
    return (chunk.dataset_id, chunk.document_id, chunk.id, chunk.is_parent)


def _bare(chunk: Chunk) -> Chunk:
    return replace(chunk, vector=np.empty(0, np.float32))


def _score(chunk: Chunk, terms: Sequence[QueryTerm]) -> float:
    held = set(f"{chunk.words} {chunk.title_words} {chunk.keyword_words} {chunk.question_words}".split())
    return sum(term.weight for term in terms if term.text in held)
