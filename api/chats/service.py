"""What a tenant can do with its chat assistants."""

from collections.abc import Sequence
from typing import Any

import orjson

from api.auth import Caller
from api.chats.prompt import DEFAULTS, check_variables, split_prompt
from api.chats.queries import chat_exists, is_name_taken, list_chats, live_ids, mark_deleted
from api.chats.replies import chat_reply, listed_reply
from api.chats.schemas import ChatCreate, ChatListQuery, ChatUpdate, Llm
from api.clock import new_id, now_ms
from api.db.accounts import find_tenant
from api.db.chats import DEFAULT_LLM, find_chat
from api.db.database import Database
from api.db.datasets import find_datasets
from api.db.models import Chat, Dataset, fold_name
from api.deletions import plan_deletion
from api.errors import BadArgument, Code, Conflict, NotFound, Refused
from api.json_text import dump_column
from api.permissions import Right, right_to
from api.tenant_models import TenantModels
from rag.errors import ModelNotFound
from rag.models.catalog import ModelCatalog

COLUMNS = (
    "avatar", "description", "language", "prompt_type", "similarity_threshold", "vector_similarity_weight",
    "top_n", "top_k", "rerank_id",
)  # fmt: skip


class ChatService:
    """What a tenant can do with its chat assistants."""

    def __init__(self, db: Database, models: TenantModels) -> None:
        self._db = db
        self._models = models

    async def create(self, caller: Caller, new: ChatCreate) -> dict[str, Any]:
        """Store a chat. Raises NotFound, Refused, Conflict, BadArgument."""
        return await self._db.transaction(self._create, caller, new)

    async def update(self, caller: Caller, chat_id: str, changes: ChatUpdate) -> None:
        """Change what was sent; `prompt` and `llm` key by key. Raises NotFound, Refused, Conflict, BadArgument."""
        await self._db.transaction(self._update, caller, chat_id, changes)

    async def find(self, caller: Caller, query: ChatListQuery) -> list[dict[str, Any]]:
        """A page of the caller's chats. Raises NotFound for an unknown id or name."""
        return await self._db.read(self._find, caller, query)

    async def delete(self, caller: Caller, ids: Sequence[str] | None) -> dict[str, Any] | None:
        """Delete chats; nothing named: all. Returns what went wrong with some ids. Raises NotFound."""
        return await self._db.transaction(self._delete, caller, ids)

    def _create(self, caller: Caller, new: ChatCreate) -> dict[str, Any]:
        dataset_ids = [dataset_id for dataset_id in new.dataset_ids or () if dataset_id]
        _check_datasets(caller, dataset_ids)
        models = self._models.of_now(caller.tenant_id)
        _check_model(models, new.llm)
        tenant = find_tenant(caller.tenant_id)
        if tenant is None:
            raise Refused("Tenant not found!")
        config, prompt_columns = _sent_prompt(new)
        columns = _sent_columns(new) | prompt_columns
        _check_rerank(models, columns)
        if not new.name:
            raise Refused("`name` is required.")
        if is_name_taken(caller.tenant_id, new.name):
            raise Conflict("Duplicated chat name in creating chat.")
        if new.tenant_id:
            raise Refused("`tenant_id` must not be provided.")
        config = {**DEFAULTS, **config}
        if config["parameters"] is None:
            config["parameters"] = DEFAULTS["parameters"]
        check_variables(config)
        llm = {} if new.llm is None else new.llm.model_dump(exclude_unset=True)
        model_id = llm.pop("model_name", None) or models.default_chat
        now = now_ms()
        chat = Chat.create(
            **columns,
            id=new_id(), create_time=now, update_time=now, tenant_id=caller.tenant_id,
            name=new.name, name_key=fold_name(new.name), llm_id=model_id,
            llm_setting=dump_column("llm", llm if new.llm and new.llm.model_fields_set else DEFAULT_LLM),
            prompt_config=dump_column("prompt", config),
            meta_data_filter=dump_column("meta_data_filter", new.meta_data_filter or {}),
            dataset_ids=dump_column("dataset_ids", dataset_ids),
        )  # fmt: skip
        return chat_reply(chat, dataset_ids)

    def _update(self, caller: Caller, chat_id: str, changes: ChatUpdate) -> None:
        chat = find_chat(caller.tenant_id, chat_id)
        if chat is None:
            raise NotFound("You do not own the chat")
        sent = changes.model_fields_set
        if "dataset_ids" in sent:
            dataset_ids = [dataset_id or "" for dataset_id in changes.dataset_ids or ()]
            _check_datasets(caller, dataset_ids)
            chat.dataset_ids = dump_column("dataset_ids", dataset_ids)
        models = self._models.of_now(caller.tenant_id)
        _check_model(models, changes.llm)
        tenant = find_tenant(caller.tenant_id)
        if tenant is None:
            raise Refused("Tenant not found!")
        config, prompt_columns = _sent_prompt(changes)
        columns = _sent_columns(changes) | prompt_columns
        _check_rerank(models, columns)
        if "name" in sent:
            if not changes.name:
                raise Refused("`name` cannot be empty.")
            if is_name_taken(caller.tenant_id, changes.name, but=chat.id):
                raise Conflict("Duplicated chat name in updating chat.")
            chat.name, chat.name_key = changes.name, fold_name(changes.name)
        for name in ("llm", "prompt"):
            value = getattr(changes, name)
            if value is not None and not value.model_dump(exclude_unset=True):
                raise BadArgument(f"`{name}` cannot be empty.")
        if config:
            merged = {**orjson.loads(chat.prompt_config), **config}
            check_variables(merged)
            chat.prompt_config = dump_column("prompt", merged)
        if changes.llm is not None:
            llm = changes.llm.model_dump(exclude_unset=True)
            if "model_name" in llm:
                chat.llm_id = llm.pop("model_name") or models.default_chat
            chat.llm_setting = dump_column("llm", orjson.loads(chat.llm_setting) | llm)
        if "meta_data_filter" in sent:
            chat.meta_data_filter = dump_column("meta_data_filter", changes.meta_data_filter or {})
        for name, value in columns.items():
            setattr(chat, name, value)
        chat.update_time = max(now_ms(), chat.update_time + 1)
        chat.save()

    def _find(self, caller: Caller, query: ChatListQuery) -> list[dict[str, Any]]:
        is_filtered = query.id is not None or query.name is not None
        if is_filtered and not chat_exists(caller.tenant_id, query.id, query.name):
            raise NotFound("The chat doesn't exist")
        chats = list_chats(caller.tenant_id, query)
        wanted = {dataset_id for chat in chats for dataset_id in orjson.loads(chat.dataset_ids)}
        datasets = {
            dataset_id: dataset
            for dataset_id, dataset in find_datasets(sorted(wanted)).items()
            if right_to(caller, dataset) >= Right.WORK
        }
        return [listed_reply(chat, datasets) for chat in chats]

    def _delete(self, caller: Caller, ids: Sequence[str] | None) -> dict[str, Any] | None:
        existing = live_ids(caller.tenant_id)
        plan = plan_deletion(
            ids or existing,
            set(existing),
            unknown="Assistant({id}) not found.",
            duplicate="Duplicate assistant ids: {id}",
        )
        mark_deleted(plan.ids, now_ms())
        return plan.report


def _check_datasets(caller: Caller, dataset_ids: Sequence[str]) -> list[Dataset]:
    """Own or shared, with chunks, of one embedding model. Raises NotFound, Refused."""
    found = find_datasets(dataset_ids)
    for dataset_id in dataset_ids:
        dataset = found.get(dataset_id)
        if right_to(caller, dataset) < Right.WORK:
            raise NotFound(f"You don't own the dataset {dataset_id}")
        if dataset is not None and dataset.chunk_count == 0:
            raise Refused(f"The dataset {dataset_id} doesn't own parsed file")
    if len({dataset.embedding_model.rsplit("@", 1)[0] for dataset in found.values()}) > 1:
        raise Refused('Datasets use different embedding models."', code=Code.AUTHENTICATION)
    return list(found.values())


def _check_model(models: ModelCatalog, llm: Llm | None) -> None:
    """A chat model that the tenant may use. Raises Refused."""
    name = None if llm is None else llm.model_name
    if llm is None or name is None:
        return
    try:
        if not name or llm.model_type == "image2text":  # no model of that kind in this version
            raise ModelNotFound
        models.find("chat", name)
    except ModelNotFound as error:
        raise Refused(f"`model_name` {name} doesn't exist") from error


def _check_rerank(models: ModelCatalog, columns: dict[str, Any]) -> None:
    """A rerank model that the tenant may use. Raises Refused."""
    if not columns.get("rerank_id"):
        return
    try:
        models.find("rerank", columns["rerank_id"])
    except ModelNotFound as error:
        raise Refused(f"`rerank_model` {columns['rerank_id']} doesn't exist") from error


def _sent_prompt(body: ChatCreate | ChatUpdate) -> tuple[dict[str, Any], dict[str, Any]]:
    return split_prompt({} if body.prompt is None else body.prompt.model_dump(exclude_unset=True))


def _sent_columns(body: ChatCreate | ChatUpdate) -> dict[str, Any]:
    """Columns at the top level of a body; null stands for the default, which is to leave them."""
    columns = {name: value for name in COLUMNS if (value := getattr(body, name)) is not None}
    refer = body.do_refer
    if isinstance(body, ChatUpdate) and body.show_quotation is not None:
        refer = body.show_quotation
    if refer is not None:
        columns["do_refer"] = "1" if refer in (True, "1") else "0"
    return columns
