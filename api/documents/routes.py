"""`/api/v1/datasets/{dataset_id}/documents`, parsing, and metadata of documents."""

from urllib.parse import quote

from quart import Blueprint, Response, request

from api.auth import require_api_key
from api.db.document_schemas import DocumentReply, UploadReply
from api.documents.schemas import (
    DocumentIdsBody,
    DocumentListQuery,
    DocumentPageReply,
    DocumentUpdate,
    IdsBody,
    MetadataSummaryBody,
    MetadataUpdateBody,
    MetadataUpdateReply,
    PartlyDoneReply,
)
from api.errors import BadArgument
from api.http import read_loose, read_query, sdk_ok
from api.openapi import operation
from api.runtime import services
from api.uploads import FilePart, read_multipart

blueprint = Blueprint("documents", __name__, url_prefix="/api/v1/datasets/<dataset_id>")

DOCUMENTS, PARSING, METADATA = "documents", "parsing", "metadata"
ID = "3b4de7d4241d11f0a6a79f24fc270c7f"
NOT_OWNED = (102, "You don't own the dataset <id>. ")


@blueprint.post("/documents")
@operation(
    "Upload documents",
    tag=DOCUMENTS,
    form={
        "file": {"type": "array", "items": {"type": "string", "format": "binary"}},
        "parent_path": {"type": "string", "description": "folder shown in `location`"},
    },
    data=[UploadReply],
    errors=(
        (101, "No file part!"),
        (101, "No file selected!"),
        (101, "File name must be 255 bytes or less."),
        (102, "Can't find the dataset with ID <id>!"),
        (500, "<name>: This type of file has not been supported yet!"),
    ),
)
async def upload_documents(dataset_id: str) -> Response:
    """One or more parts named `file`. A taken name gets a number: `a(1).txt`. Parsing is started separately."""
    caller = await require_api_key()
    async with services().documents.upload(caller, dataset_id) as upload:
        if request.mimetype != "multipart/form-data":
            raise BadArgument("No file part!")
        async for part in read_multipart():
            if isinstance(part, FilePart):
                if part.name == "file":
                    await upload.add(part.filename, part.pieces)
            elif part.name == "parent_path":
                upload.parent_path = part.value
        return sdk_ok(await upload.finish())


@blueprint.get("/documents")
@operation(
    "List documents",
    tag=DOCUMENTS,
    query=DocumentListQuery,
    data=DocumentPageReply,
    errors=(
        NOT_OWNED,
        (102, "You don't own the document <id or name>."),
        (101, "`orderby` must be one of …"),
    ),
)
async def list_documents(dataset_id: str) -> Response:
    """All filters are combined with AND; `total` counts all pages."""
    caller = await require_api_key()
    return sdk_ok(await services().documents.find(caller, dataset_id, read_query(DocumentListQuery)))


@blueprint.put("/documents/<document_id>")
@operation(
    "Change a document",
    tag=DOCUMENTS,
    body=DocumentUpdate,
    data=DocumentReply,
    example={"name": "manual.txt", "meta_fields": {"author": "Ada"}, "enabled": True},
    errors=(
        (102, "You don't own the dataset."),
        (102, "The dataset doesn't own the document."),
        (101, "The extension of file can't be changed"),
        (102, "Duplicated document name in the same dataset."),
        (102, "`chunk_method` <value> doesn't exist"),
    ),
)
async def update_document(dataset_id: str, document_id: str) -> Response:
    """All of it is done or nothing. A new `chunk_method` resets the document and deletes its chunks."""
    caller = await require_api_key()
    changes = await read_loose(DocumentUpdate)
    return sdk_ok(await services().documents.update(caller, dataset_id, document_id, changes))


@blueprint.get("/documents/<document_id>")
@operation(
    "Download a document",
    tag=DOCUMENTS,
    produces="application/octet-stream",
    errors=(
        (102, "You do not own the dataset <id>."),
        (102, "The dataset not own the document <id>."),
        (102, "This file is empty."),
    ),
)
async def download_document(dataset_id: str, document_id: str) -> Response:
    """The bytes as they were uploaded."""
    caller = await require_api_key()
    file = await services().documents.download(caller, dataset_id, document_id)
    response = Response(file.pieces, content_type="application/octet-stream")
    response.timeout = None
    response.content_length = file.size
    response.headers["Cache-Control"] = "private"
    response.headers["X-Content-Type-Options"] = "nosniff"
    fallback = file.name.encode("ascii", "replace").decode().replace('"', "'").replace("\\", "_")
    response.headers["Content-Disposition"] = (
        f"attachment; filename=\"{fallback}\"; filename*=UTF-8''{quote(file.name, safe='')}"
    )
    return response


@blueprint.delete("/documents")
@operation(
    "Delete documents",
    tag=DOCUMENTS,
    body=IdsBody,
    is_body_required=False,
    data=PartlyDoneReply,
    is_data_optional=True,
    example={"ids": [ID]},
    errors=(NOT_OWNED, (102, "Documents not found: ['<id>']")),
)
async def delete_documents(dataset_id: str) -> Response:
    """With chunks and files. Without `ids`: all documents of the dataset."""
    caller = await require_api_key()
    body = await read_loose(IdsBody)
    return sdk_ok(await services().documents.delete(caller, dataset_id, body.ids))


@blueprint.post("/chunks")
@operation(
    "Parse documents",
    tag=PARSING,
    body=DocumentIdsBody,
    data=PartlyDoneReply,
    is_data_optional=True,
    example={"document_ids": [ID]},
    errors=(
        (102, "You don't own the dataset <id>."),
        (102, "`document_ids` is required"),
        (102, "Can't parse document that is currently being processed"),
        (102, "Documents not found: ['<id>']"),
    ),
)
async def parse_documents(dataset_id: str) -> Response:
    """Queue documents for parsing; poll the document list until `run` is DONE, FAIL or CANCEL."""
    caller = await require_api_key()
    body = await read_loose(DocumentIdsBody)
    return sdk_ok(await services().documents.parse(caller, dataset_id, body.document_ids))


@blueprint.delete("/chunks")
@operation(
    "Stop parsing documents",
    tag=PARSING,
    body=DocumentIdsBody,
    data=PartlyDoneReply,
    is_data_optional=True,
    example={"document_ids": [ID]},
    errors=(
        (102, "`document_ids` is required"),
        (102, "You don't own the document <id>."),
        (102, "Can't stop parsing document with progress at 0 or 1"),
    ),
)
async def stop_parsing(dataset_id: str) -> Response:
    """What was written is deleted; `run` becomes CANCEL."""
    caller = await require_api_key()
    body = await read_loose(DocumentIdsBody)
    return sdk_ok(await services().documents.stop(caller, dataset_id, body.document_ids))


@blueprint.post("/documents/<document_id>/run")
@operation(
    "Parse one document",
    tag=PARSING,
    errors=(
        (102, "Can't parse document that is currently being processed"),
        (102, "Documents not found: ['<id>']"),
    ),
)
async def run_document(dataset_id: str, document_id: str) -> Response:
    """The same as POST …/chunks with one id."""
    caller = await require_api_key()
    await services().documents.parse(caller, dataset_id, [document_id])
    return sdk_ok()


@blueprint.get("/metadata/summary")
@operation(
    "Summarise metadata",
    tag=METADATA,
    data={"type": "object", "properties": {"summary": {"type": "object"}}, "required": ["summary"]},
    errors=(NOT_OWNED,),
)
async def summarise_metadata(dataset_id: str) -> Response:
    """Every key with its type and its values by frequency. `doc_ids` (JSON body or query) restricts the documents."""
    caller = await require_api_key()
    body = await read_loose(MetadataSummaryBody)
    ids = body.doc_ids or [one for text in request.args.getlist("doc_ids") for one in text.split(",") if one]
    return sdk_ok(await services().metadata.summary(caller, dataset_id, ids))


@blueprint.post("/metadata/update")
@operation(
    "Change the metadata of many documents",
    tag=METADATA,
    body=MetadataUpdateBody,
    data=MetadataUpdateReply,
    example={
        "selector": {"metadata_condition": {"logic": "and", "conditions": [
            {"name": "author", "comparison_operator": "is", "value": "Ada"}]}},
        "updates": [{"key": "status", "value": "reviewed"}],
        "deletes": [{"key": "draft"}],
    },
    errors=(NOT_OWNED, (102, "Each update requires key and value."), (102, "Each delete requires key.")),
)  # fmt: skip
async def update_metadata(dataset_id: str) -> Response:
    """Updates, then deletes, on the selected documents; without a selector on all of the dataset."""
    caller = await require_api_key()
    body = await read_loose(MetadataUpdateBody)
    return sdk_ok(await services().metadata.update(caller, dataset_id, body))
