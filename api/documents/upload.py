"""An upload of several files: bytes go to the storage as they come, rows are written together at the end."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from api.auth import Caller
from api.clock import new_id, now_ms
from api.db.database import Database
from api.db.datasets import add_to_counters, find_dataset, free_name
from api.db.document_replies import upload_reply
from api.db.models import Document, fold_name
from api.documents.file_types import file_type, method_for, suffix_of
from api.documents.names import MAX_NAME_BYTES, check_name, clean_folder, clean_name
from api.documents.queries import count_of_tenant, is_name_taken
from api.errors import BadArgument, Code, NotFound, Refused
from api.permissions import Right, right_to
from api.purge import storage_key
from api.storage.protocol import FileStorage, StoredFile

SMALL_BYTES = 256 * 1024
"""Files up to this size are stored while the next part is received: most of their time is waiting for the disk."""

AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class _File:
    document_id: str
    name: str
    kind: str
    storing: asyncio.Task[StoredFile]


async def _drain(pieces: AsyncIterator[bytes]) -> None:
    async for _ in pieces:
        pass


async def _read_head(pieces: AsyncIterator[bytes]) -> tuple[list[bytes], bool]:
    """(the first pieces, whether they are all)."""
    head: list[bytes] = []
    size = 0
    async for piece in pieces:
        head.append(piece)
        size += len(piece)
        if size > SMALL_BYTES:
            return head, False
    return head, True


async def _chain(head: list[bytes], rest: AsyncIterator[bytes] | None) -> AsyncIterator[bytes]:
    for piece in head:
        yield piece
    head.clear()
    if rest is not None:
        async for piece in rest:
            yield piece


@dataclass(slots=True)
class Upload:
    """One request's files. Unless `finish` returns, nothing of them stays."""

    _db: Database
    _storage: FileStorage
    _caller: Caller
    _dataset_id: str
    _max_files: int
    parent_path: str = ""
    _files: list[_File] = field(default_factory=list)
    _problems: list[str] = field(default_factory=list)
    _bad_name: BadArgument | None = None
    _running: set[asyncio.Task[StoredFile]] = field(default_factory=set)
    _inserting: asyncio.Future[tuple[list[dict[str, Any]], list[_File]]] | None = None
    _is_finished: bool = False

    async def __aenter__(self) -> Self:
        """Raises NotFound before a byte is read, if the caller may not upload here."""
        await self._db.read(self._require_right)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take back what was stored for rows that were never written."""
        if not self._is_finished:
            await asyncio.shield(self._take_back())

    async def _take_back(self) -> None:
        lost = self._files
        if self._inserting is not None:
            # The client left during the commit, which goes on: whether it succeeds decides about the files.
            await asyncio.wait([self._inserting])
            if self._inserting.exception() is None:
                lost = self._inserting.result()[1]
        storing = [file.storing for file in lost]
        for task in storing:
            task.cancel()
        await asyncio.gather(*storing, return_exceptions=True)
        await self._storage.delete([storage_key(self._dataset_id, file.document_id) for file in lost])

    async def add(self, filename: str, pieces: AsyncIterator[bytes]) -> None:
        """Store one file; its bytes are read in any case, so that the next part can be. Raises DiskFull.

        The bytes of a small file are on the disk when `finish` returns.
        """
        name = clean_name(filename)
        try:
            check_name(name)
        except BadArgument as error:
            self._bad_name = self._bad_name or error
        kind = file_type(name)
        if self._bad_name is not None or kind is None:
            if self._bad_name is None:
                self._problems.append(f"{name}: This type of file has not been supported yet!")
            await _drain(pieces)
            return
        document_id = new_id()
        head, is_whole = await _read_head(pieces)
        content = _chain(head, None if is_whole else pieces)
        storing = asyncio.create_task(self._store(document_id, content))
        self._files.append(_File(document_id, name, kind, storing))
        if is_whole:
            self._running.add(storing)
            await self._wait_for_room()
        else:
            await storing

    async def _store(self, document_id: str, content: AsyncIterator[bytes]) -> StoredFile:
        return await self._storage.put(storage_key(self._dataset_id, document_id), content)

    async def _wait_for_room(self) -> None:
        """Wait while too many files are being stored. Raises what stopped one of them."""
        if len(self._running) >= AT_ONCE:
            done, self._running = await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()

    async def finish(self) -> list[dict[str, Any]]:
        """Write the rows; returns the documents in the order of the request. Raises BadArgument, Refused.

        Files that cannot be taken are named in the refusal; the others of the request are stored.
        """
        if self._bad_name is not None:
            raise self._bad_name
        if not self._files and not self._problems:
            raise BadArgument("No file part!")
        await asyncio.gather(*(file.storing for file in self._files))
        self._inserting = asyncio.ensure_future(self._db.transaction(self._insert))
        replies, left_out = await asyncio.shield(self._inserting)
        self._is_finished = True
        if left_out:
            await self._storage.delete([storage_key(self._dataset_id, file.document_id) for file in left_out])
        if self._problems:
            raise Refused("\n".join(self._problems), code=Code.SERVER)
        return replies

    def _require_right(self) -> None:
        dataset = find_dataset(self._dataset_id)
        if dataset is None or right_to(self._caller, dataset) < Right.WORK:
            raise NotFound(f"Can't find the dataset with ID {self._dataset_id}!")

    def _insert(self) -> tuple[list[dict[str, Any]], list[_File]]:
        self._require_right()
        dataset = find_dataset(self._dataset_id)
        assert dataset is not None
        folder = clean_folder(self.parent_path)
        held = count_of_tenant(dataset.tenant_id) if self._max_files else 0
        replies: list[dict[str, Any]] = []
        left_out: list[_File] = []
        for file in self._files:
            if self._max_files and held + len(replies) >= self._max_files:
                self._problems.append(f"{file.name}: Exceed the maximum file number of a free user!")
                left_out.append(file)
                continue
            stored = file.storing.result()
            name = free_name(
                file.name, lambda taken: is_name_taken(self._dataset_id, taken), max_bytes=MAX_NAME_BYTES
            )
            now = now_ms()
            document = Document.create(
                id=file.document_id, create_time=now, update_time=now, dataset_id=dataset.id,
                created_by=self._caller.user_id, name=name, name_key=fold_name(name), type=file.kind,
                suffix=suffix_of(name)[:32], size=stored.size, content_hash=stored.content_hash,
                location=f"{folder}/{name}"[-1024:] if folder else name,
                storage_key=storage_key(dataset.id, file.document_id),
                chunk_method=method_for(name, file.kind, dataset.chunk_method), pipeline_id=dataset.pipeline_id,
                parser_config=dataset.parser_config,
            )  # fmt: skip
            replies.append(upload_reply(document))
        add_to_counters(dataset.id, documents=len(replies))
        return replies, left_out
