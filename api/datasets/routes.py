"""`/api/v1/datasets`."""

from quart import Blueprint, Response

from api.auth import require_api_key
from api.datasets.schemas import DatasetCreate, DatasetDelete, DatasetListQuery, DatasetReply, DatasetUpdate
from api.http import read_body, read_query, sdk_ok
from api.openapi import operation
from api.runtime import services

blueprint = Blueprint("datasets", __name__, url_prefix="/api/v1/datasets")

TAG = "datasets"


@blueprint.post("")
@operation(
    "Create a dataset",
    tag=TAG,
    body=DatasetCreate,
    data=DatasetReply,
    example={"name": "manuals", "chunk_method": "naive", "parser_config": {"chunk_token_num": 256}},
    errors=(
        (101, "Field: <name> - Message: <Field required> - Value: <{}>"),
        (101, "Unsupported model: <name@provider>"),
        (102, "Dataset name length is <n> which is large than 128"),
    ),
)
async def create_dataset() -> Response:
    """A taken name gets a number: `manuals(1)`."""
    caller = await require_api_key()
    return sdk_ok(await services().datasets.create(caller, await read_body(DatasetCreate)))


@blueprint.get("")
@operation(
    "List datasets",
    tag=TAG,
    query=DatasetListQuery,
    data=[DatasetReply],
    extra={"total_datasets": {"type": "integer"}},
    errors=((108, "User '<user id>' lacks permission for dataset '<id or name>'"),),
)
async def list_datasets() -> Response:
    """Own datasets, and those that others share with their team; `total_datasets` counts all pages."""
    caller = await require_api_key()
    page = await services().datasets.find(caller, read_query(DatasetListQuery))
    return sdk_ok(page.datasets, total_datasets=page.total)


@blueprint.put("/<dataset_id>")
@operation(
    "Change a dataset",
    tag=TAG,
    body=DatasetUpdate,
    data=DatasetReply,
    example={"name": "laws", "pagerank": 10},
    errors=(
        (101, "No properties were modified"),
        (102, "Dataset name '<name>' already exists"),
        (102, "When chunk_num (<n>) > 0, embedding_model must remain <model>"),
        (108, "User '<user id>' lacks permission for dataset '<id>'"),
    ),
)
async def update_dataset(dataset_id: str) -> Response:
    """Only what is sent changes. Documents keep the `parser_config` that they were uploaded with."""
    caller = await require_api_key()
    changes = await read_body(DatasetUpdate, dataset_id=dataset_id)
    return sdk_ok(await services().datasets.update(caller, changes))


@blueprint.delete("")
@operation(
    "Delete datasets",
    tag=TAG,
    body=DatasetDelete,
    example={"ids": ["3b4de7d4241d11f0a6a79f24fc270c7f"]},
    errors=((108, "User '<user id>' lacks permission for datasets: '<ids>'"),),
)
async def delete_datasets() -> Response:
    """With all documents, chunks and files. `{"ids": null}` deletes all of the caller's datasets."""
    caller = await require_api_key()
    body = await read_body(DatasetDelete)
    await services().datasets.delete(caller, body.ids)
    return sdk_ok()
