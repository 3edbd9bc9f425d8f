"""`/api/v1/dify/retrieval`: Dify's external knowledge API. True statuses, and no envelope."""

from pydantic import ValidationError
from quart import Blueprint, Response

from api.auth import require_api_key
from api.dify.schemas import DifyRetrievalBody, DifyRetrievalReply
from api.errors import NotAuthenticated, NotFound
from api.http import json_response, read_object, refuse_invalid
from api.openapi import operation
from api.runtime import services

blueprint = Blueprint("dify", __name__, url_prefix="/api/v1/dify")


@blueprint.errorhandler(NotAuthenticated)
async def refuse_key(_: NotAuthenticated) -> Response:
    """As Dify shows it to its users."""
    return json_response({"code": 403, "message": "API-KEY is invalid!"}, 403)


@blueprint.errorhandler(NotFound)
async def refuse_dataset(error: NotFound) -> Response:
    """As Dify shows it to its users."""
    return json_response({"code": 404, "message": error.message}, 404)


@blueprint.post("/retrieval")
@operation(
    "Find passages for Dify",
    tag="retrieval",
    body=DifyRetrievalBody,
    reply=DifyRetrievalReply,
    example={
        "knowledge_id": "3b4de7d4241d11f0a6a79f24fc270c7f",
        "query": "How long is the guarantee?",
        "retrieval_setting": {"top_k": 3, "score_threshold": 0.2},
    },
    errors=(
        (101, "required argument are missing: knowledge_id,query; "),
        (403, "API-KEY is invalid!"),
        (404, "Knowledgebase not found!"),
    ),
)
async def retrieve() -> Response:
    """Give Dify the address `…/api/v1/dify`; it appends `/retrieval`."""
    caller = await require_api_key()
    content = await read_object()
    missing = [name for name in ("knowledge_id", "query") if name not in content]
    if missing:
        message = f"required argument are missing: {','.join(missing)}; "
        return json_response({"code": 101, "data": None, "message": message})
    try:
        body = DifyRetrievalBody.model_validate(content)
    except ValidationError as error:
        refuse_invalid(error, DifyRetrievalBody)
    return json_response(await services().dify.retrieve(caller, body))
