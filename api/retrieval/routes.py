"""`/api/v1/retrieval`."""

from quart import Blueprint, Response

from api.auth import require_api_key
from api.http import read_loose, sdk_ok
from api.openapi import operation
from api.retrieval.schemas import RetrievalBody, RetrievalReply
from api.runtime import services

blueprint = Blueprint("retrieval", __name__, url_prefix="/api/v1")


@blueprint.post("/retrieval")
@operation(
    "Find passages",
    tag="retrieval",
    body=RetrievalBody,
    data=RetrievalReply,
    example={
        "dataset_ids": ["3b4de7d4241d11f0a6a79f24fc270c7f"],
        "question": "How long is the warranty?",
        "page_size": 5,
        "highlight": True,
    },
    errors=(
        (102, "`dataset_ids` is required."),
        (102, "You don't own the dataset <id>."),
        (102, "`question` is required."),
        (102, "The datasets don't own the document <id>"),
    ),
)
async def retrieve() -> Response:
    """By words and by meaning; best first."""
    caller = await require_api_key()
    return sdk_ok(await services().retrieval.retrieve(caller, await read_loose(RetrievalBody)))
