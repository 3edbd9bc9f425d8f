"""The words of all datasets in one tantivy index."""

import json
import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tantivy

from rag.stores.embedded.truth import Change
from rag.stores.protocol import QueryTerm

FORMAT = 1
# One field a source, so that a long content does not drown a keyword. The weights are small against
# content's on purpose: a boosted title drowns the content (measured: recall@1 .79 without, .76 with).
_FIELD_BOOSTS = (("content", 1.0), ("title", 0.3), ("keywords", 1.0), ("questions", 1.0))
_WRITER_HEAP_BYTES = 64 * 1024 * 1024
_MARKER = "applied.json"


@dataclass(frozen=True, slots=True)
class Applied:
    """How far the index folder follows which store."""

    store_id: str
    seq: int
    format: int = FORMAT


def _schema() -> tantivy.Schema:
    builder = tantivy.SchemaBuilder()
    builder.add_unsigned_field("key", stored=False, indexed=True, fast=True)
    builder.add_text_field("dataset", tokenizer_name="raw", index_option="basic")
    builder.add_text_field("document", tokenizer_name="raw", index_option="basic")
    for name, _ in _FIELD_BOOSTS:
        builder.add_text_field(name, tokenizer_name="whitespace", index_option="freq")
    return builder.build()


class TextIndex:
    """The writing side, for the one thread that follows the log, and queries for all."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._schema = _schema()
        self._index = tantivy.Index(self._schema, path=str(folder))
        analyzer = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.whitespace()).build()
        self._index.register_tokenizer("whitespace", analyzer)
        # Reloaded by hand, after a commit: a watcher thread would show commits late and by themselves.
        self._index.config_reader(reload_policy="manual")
        # The lock is taken here, before anything of SQLite is read.
        self._writer = self._index.writer(_WRITER_HEAP_BYTES, 1)
        self._index.reload()

    def close(self) -> None:
        """Wait for merges and give the lock back."""
        self._writer.wait_merging_threads()

    def change(self, removed: Sequence[int], added: Iterable[Change]) -> None:
        """Take keys out and put rows in; seen after `commit`."""
        for start in range(0, len(removed), 5000):
            # By query: a delete by term on a number silently deletes nothing.
            self._writer.delete_documents_by_query(
                tantivy.Query.term_set_query(self._schema, "key", list(removed[start : start + 5000]))
            )
        for row in added:
            document = tantivy.Document()
            document.add_unsigned("key", row.key)
            document.add_text("dataset", row.dataset_id)
            document.add_text("document", row.document_id)
            document.add_text("content", row.words or "")
            for name, text in (
                ("title", row.title_words),
                ("keywords", row.keyword_words),
                ("questions", row.question_words),
            ):
                if text:
                    document.add_text(name, text)
            self._writer.add_document(document)

    def commit(self) -> tantivy.Searcher:
        """Make the changes durable; returns the searcher that sees them."""
        self._writer.commit()
        self._index.reload()
        return self._index.searcher()

    def rollback(self) -> None:
        """Forget what was not committed."""
        self._writer.rollback()

    def searcher(self) -> tantivy.Searcher:
        """What was committed last."""
        return self._index.searcher()

    def query(
        self,
        terms: Sequence[QueryTerm],
        dataset_ids: Sequence[str] | None,
        document_ids: Sequence[str] | None,
    ) -> Any:
        """Any of the terms, within the datasets (None: all) and documents (None: all)."""
        query_of, occur = tantivy.Query, tantivy.Occur
        scale = len(terms)  # weights sum to 1; scores near BM25's
        should = [
            (
                occur.Should,
                query_of.boost_query(
                    query_of.term_query(self._schema, field, term.text, "freq"), boost * term.weight * scale
                ),
            )
            for term in terms
            for field, boost in _FIELD_BOOSTS
        ]
        query = query_of.boolean_query(should)
        filters = [
            query_of.const_score_query(self._any_of(field, ids), 0.0)
            for field, ids in (("dataset", dataset_ids), ("document", document_ids))
            if ids is not None
        ]
        if not filters:
            return query
        return query_of.boolean_query([(occur.Must, query), *((occur.Must, each) for each in filters)])

    def _any_of(self, field: str, ids: Sequence[str]) -> Any:
        if len(ids) == 1:
            return tantivy.Query.term_query(self._schema, field, ids[0], "basic")
        return tantivy.Query.term_set_query(self._schema, field, list(ids))

    def read_marker(self) -> Applied | None:
        """How far the folder is, None when it does not say."""
        try:
            return Applied(**json.loads((self._folder / _MARKER).read_text("utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def write_marker(self, applied: Applied, *, is_durable: bool = False) -> None:
        """Note how far the committed index is; it may say less than what is true, never more."""
        text = json.dumps({"store_id": applied.store_id, "seq": applied.seq, "format": applied.format})
        temporary = self._folder / f"{_MARKER}.new"
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            if is_durable:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(self._folder / _MARKER)


def search(searcher: Any, query: Any, limit: int) -> dict[int, float]:
    """Key to score of the best."""
    hits = searcher.search(query, limit, count=False).hits
    keys = searcher.fast_field_values("key", [address for _, address in hits])
    return {int(key): float(score) for key, (score, _) in zip(keys, hits, strict=True)}


def remove(folder: Path) -> None:
    """Throw an index folder away."""
    shutil.rmtree(folder, ignore_errors=True)
