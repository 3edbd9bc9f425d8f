"""`/api/v1/datasets/{dataset_id}/documents/{document_id}/chunks`."""

from quart import Blueprint, Response

from api.auth import require_api_key
from api.chunks.schemas import (
    AddedChunkReply,
    ChunkCreate,
    ChunkIdsBody,
    ChunkListQuery,
    ChunkPageReply,
    ChunkUpdate,
    DeletedChunksReply,
)
from api.http import read_loose, read_query, sdk_ok
from api.openapi import operation
from api.runtime import services

blueprint = Blueprint(
    "chunks", __name__, url_prefix="/api/v1/datasets/<dataset_id>/documents/<document_id>/chunks"
)

TAG = "chunks"
NO_DATASET = (102, "You don't own the dataset <id>.")
NO_DOCUMENT = (102, "You don't own the document <id>.")


@blueprint.get("")
@operation(
    "List chunks",
    tag=TAG,
    query=ChunkListQuery,
    data=ChunkPageReply,
    errors=(NO_DATASET, NO_DOCUMENT, (404, "Chunk not found: <dataset id>/<chunk id>")),
)
async def list_chunks(dataset_id: str, document_id: str) -> Response:
    """In document order; with `keywords` only those that hold one, best first, with `<em>` in the content."""
    caller = await require_api_key()
    query = read_query(ChunkListQuery)
    return sdk_ok(await services().chunks.find(caller, dataset_id, document_id, query))


@blueprint.post("")
@operation(
    "Add a chunk",
    tag=TAG,
    body=ChunkCreate,
    data=AddedChunkReply,
    example={"content": "The warranty lasts 24 months.", "important_keywords": ["warranty"]},
    errors=(NO_DATASET, NO_DOCUMENT, (102, "`content` is required")),
)
async def add_chunk(dataset_id: str, document_id: str) -> Response:
    """Searchable when the reply comes. The same content again replaces the chunk."""
    caller = await require_api_key()
    body = await read_loose(ChunkCreate)
    return sdk_ok(await services().chunks.add(caller, dataset_id, document_id, body))


@blueprint.put("/<chunk_id>")
@operation(
    "Change a chunk",
    tag=TAG,
    body=ChunkUpdate,
    example={"content": "The warranty lasts 36 months.", "available": True},
    errors=(NO_DATASET, NO_DOCUMENT, (102, "Can't find this chunk <id>")),
)
async def update_chunk(dataset_id: str, document_id: str, chunk_id: str) -> Response:
    """What is not sent stays; the chunk is embedded again and keeps its id."""
    caller = await require_api_key()
    body = await read_loose(ChunkUpdate)
    await services().chunks.update(caller, dataset_id, document_id, chunk_id, body)
    return sdk_ok()


@blueprint.delete("")
@operation(
    "Delete chunks",
    tag=TAG,
    body=ChunkIdsBody,
    is_body_required=False,
    data=DeletedChunksReply,
    is_data_optional=True,
    example={"chunk_ids": ["cc50e18a05895295"]},
    errors=(NO_DATASET, (102, "rm_chunk deleted chunks <n>, expect <m>")),
)
async def delete_chunks(dataset_id: str, document_id: str) -> Response:
    """Without `chunk_ids`: all chunks of the document."""
    caller = await require_api_key()
    body = await read_loose(ChunkIdsBody)
    return sdk_ok(await services().chunks.delete(caller, dataset_id, document_id, body.chunk_ids))
