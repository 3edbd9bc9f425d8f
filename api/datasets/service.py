"""What a tenant can do with its datasets."""

from dataclasses import dataclass
from typing import Any

import orjson
from peewee import IntegrityError

from api.auth import Caller
from api.clock import new_id, now_ms
from api.datasets.parser_config import config_on_create, config_on_update
from api.datasets.queries import count_datasets, list_datasets, name_exists
from api.datasets.schemas import DatasetCreate, DatasetListQuery, DatasetUpdate
from api.db import tasks
from api.db.accounts import find_tenant
from api.db.database import Database
from api.db.datasets import dataset_reply, find_dataset, free_name, is_name_taken
from api.db.models import Dataset, Document, fold_name
from api.errors import BadArgument, Conflict, NoPermission, Refused
from api.permissions import Right, get_dataset, right_to, visible_tenants
from api.purge import Purge, Purger
from api.tenant_models import TenantModels
from rag.errors import ModelNotFound
from rag.models.catalog import ModelCatalog
from rag.models.factories import factories

MAX_PAGE_SIZE = 1000
MAX_NAME_BYTES = 128


@dataclass(frozen=True, slots=True)
class DatasetPage:
    """A page of datasets, ready to be rendered, and how many there are in all."""

    datasets: list[dict[str, Any]]
    total: int


class DatasetService:
    """What a tenant can do with its datasets."""

    def __init__(self, db: Database, models: TenantModels, purger: Purger) -> None:
        self._db = db
        self._models = models
        self._purger = purger

    async def create(self, caller: Caller, new: DatasetCreate) -> dict[str, Any]:
        """Store a dataset; a taken name gets a number, `manuals(1)`. Raises Refused, BadArgument."""
        if len(new.name.encode()) > MAX_NAME_BYTES:
            raise Refused(f"Dataset name length is {len(new.name)} which is large than {MAX_NAME_BYTES}")
        if new.embedding_model is not None:
            _check_model(await self._models.of(caller.tenant_id), new.embedding_model)
        return await self._db.transaction(self._create, caller, new)

    async def find(self, caller: Caller, query: DatasetListQuery) -> DatasetPage:
        """The datasets that the caller owns or shares. Raises NoPermission for an unknown id or name."""
        return await self._db.read(self._find, caller, query)

    async def update(self, caller: Caller, changes: DatasetUpdate) -> dict[str, Any]:
        """Change what was sent. Raises BadArgument, NoPermission, Conflict, Refused."""
        return await self._db.transaction(self._update, caller, changes)

    async def delete(self, caller: Caller, ids: list[str] | None) -> None:
        """Delete datasets with all they hold; None: all of the caller's. Raises NoPermission (then nothing goes)."""
        task_id, purge = await self._db.transaction(self._delete, caller, ids)
        if purge.dataset_ids:
            await self._purger.run_task(task_id, purge)

    def _create(self, caller: Caller, new: DatasetCreate) -> dict[str, Any]:
        tenant = find_tenant(caller.tenant_id)
        if tenant is None:
            raise Refused("Tenant not found.")
        name = free_name(
            new.name,
            lambda candidate: is_name_taken(caller.tenant_id, candidate),
            max_characters=128,
            max_bytes=MAX_NAME_BYTES,
        )
        now = now_ms()
        models = self._models.of_now(caller.tenant_id)
        config = config_on_create(new.chunk_method, new.parser_config, models.default_chat)
        dataset = Dataset.create(
            id=new_id(), create_time=now, update_time=now, tenant_id=caller.tenant_id, created_by=caller.user_id,
            name=name, name_key=fold_name(name), avatar=new.avatar, description=new.description,
            permission=new.permission, pipeline_id=new.pipeline_id, chunk_method=new.chunk_method,
            embedding_model=new.embedding_model or models.default_embedding,
            parser_config=orjson.dumps(config).decode(),
        )  # fmt: skip
        return dataset_reply(dataset)

    def _find(self, caller: Caller, query: DatasetListQuery) -> DatasetPage:
        if query.id is not None and right_to(caller, find_dataset(query.id)) == Right.NONE:
            raise NoPermission(f"User '{caller.user_id}' lacks permission for dataset '{query.id}'")
        tenants = visible_tenants(caller)
        name_key = None if query.name is None else fold_name(query.name)
        if name_key is not None and not name_exists(tenants, name_key):
            raise NoPermission(f"User '{caller.user_id}' lacks permission for dataset '{query.name}'")
        size = min(query.page_size, MAX_PAGE_SIZE)
        filters = (tenants, query.id, name_key)
        rows = list_datasets(
            *filters,
            orderby=query.orderby,
            desc=query.desc,
            limit=size,
            offset=min((query.page - 1) * size, 2**62),
        )
        total = len(rows) if query.page == 1 and len(rows) < size else count_datasets(*filters)
        return DatasetPage(rows, total)

    def _update(self, caller: Caller, changes: DatasetUpdate) -> dict[str, Any]:
        sent = changes.model_fields_set - {"dataset_id", "parse_type"}
        if not changes.model_fields_set - {"dataset_id"}:
            raise BadArgument("No properties were modified")
        dataset = get_dataset(
            caller,
            changes.dataset_id,
            Right.OWN,
            NoPermission(f"User '{caller.user_id}' lacks permission for dataset '{changes.dataset_id}'"),
        )
        if "name" in sent:
            if is_name_taken(caller.tenant_id, changes.name, but=dataset.id):
                raise Conflict(f"Dataset name '{changes.name}' already exists")
            dataset.name, dataset.name_key = changes.name, fold_name(changes.name)
        if "embedding_model" in sent:
            model_id = changes.embedding_model or dataset.embedding_model
            if model_id != dataset.embedding_model and dataset.chunk_count > 0:
                raise Conflict(
                    f"When chunk_num ({dataset.chunk_count}) > 0, embedding_model must remain {dataset.embedding_model}"
                )
            _check_model(self._models.of_now(dataset.tenant_id), model_id)
            dataset.embedding_model = model_id
        for name in sent & {"avatar", "description", "permission", "pagerank", "pipeline_id"}:
            setattr(dataset, name, getattr(changes, name))
        new_method = changes.chunk_method if "chunk_method" in sent else None
        config = config_on_update(
            orjson.loads(dataset.parser_config),
            changes.parser_config,
            new_method=None if new_method == dataset.chunk_method else new_method,
        )
        dataset.chunk_method = new_method or dataset.chunk_method
        dataset.parser_config = orjson.dumps(config).decode()
        dataset.update_time = max(now_ms(), dataset.update_time + 1)
        try:
            dataset.save()
        except IntegrityError as error:
            raise Conflict(f"Dataset name '{changes.name}' already exists") from error
        return dataset_reply(dataset)

    def _delete(self, caller: Caller, ids: list[str] | None) -> tuple[str, Purge]:
        own = Dataset.tenant_id == caller.tenant_id
        wanted = own if ids is None else own & (Dataset.id.in_(ids))
        found: list[str] = [row.id for row in Dataset.select(Dataset.id).where(wanted)]
        missing = [dataset_id for dataset_id in ids or () if dataset_id not in found]
        if missing:
            raise NoPermission(
                f"User '{caller.user_id}' lacks permission for datasets: '{', '.join(missing)}'"
            )
        if not found:
            return "", Purge()
        purge = Purge(dataset_ids=tuple(found))
        for dataset_id in found:
            in_dataset = Document.dataset_id == dataset_id
            tasks.drop_dataset_tasks(dataset_id)
            Document.delete().where(in_dataset).execute()
            Dataset.delete().where(Dataset.id == dataset_id).execute()
        return purge.insert(), purge


def _check_model(models: ModelCatalog, model_id: str) -> None:
    """An embedding model that the tenant may use. Raises BadArgument."""
    try:
        models.find("embedding", model_id)
    except ModelNotFound as error:
        name, _, provider = model_id.rpartition("@")
        factory = factories().get(provider)
        is_known = factory is not None and name in factory.models.get("embedding", {})
        raise BadArgument(f"{'Unauthorized' if is_known else 'Unsupported'} model: <{model_id}>") from error
