"""How a chat row becomes what clients see."""

from collections.abc import Mapping
from typing import Any

import orjson

from api.chats.prompt import prompt_reply
from api.clock import http_date
from api.db.models import Chat, Dataset

# Names of a dataset record inside a chat list; RAGFlow shows the raw record there.
_INNER_NAMES = {
    "id": "id", "avatar": "avatar", "tenant_id": "tenant_id", "name": "name", "language": "language",
    "description": "description", "embedding_model": "embd_id", "permission": "permission",
    "created_by": "created_by", "document_count": "doc_num", "token_count": "token_num",
    "chunk_count": "chunk_num", "similarity_threshold": "similarity_threshold",
    "vector_similarity_weight": "vector_similarity_weight", "chunk_method": "parser_id",
    "pipeline_id": "pipeline_id", "pagerank": "pagerank", "create_time": "create_time",
    "update_time": "update_time",
}  # fmt: skip
_NEVER_RUN = {
    f"{kind}_task_{part}": None for kind in ("graphrag", "raptor", "mindmap") for part in ("id", "finish_at")
}


def _shared(chat: Chat) -> dict[str, Any]:
    llm: dict[str, Any] = orjson.loads(chat.llm_setting)
    return {
        "id": chat.id,
        "tenant_id": chat.tenant_id,
        "name": chat.name,
        "description": chat.description,
        "avatar": chat.avatar,
        "language": chat.language,
        "prompt_type": chat.prompt_type,
        "do_refer": chat.do_refer,
        "status": chat.status,
        "meta_data_filter": orjson.loads(chat.meta_data_filter),
        "llm": llm | {"model_name": chat.llm_id},
        "prompt": prompt_reply(chat),
        "create_time": chat.create_time,
        "update_time": chat.update_time,
        "create_date": http_date(chat.create_time),
        "update_date": http_date(chat.update_time),
    }


def chat_reply(chat: Chat, dataset_ids: list[str]) -> dict[str, Any]:
    """A new chat; the ids as they were sent."""
    return _shared(chat) | {"dataset_ids": dataset_ids}


def listed_reply(chat: Chat, datasets: Mapping[str, Dataset]) -> dict[str, Any]:
    """A chat of a list; datasets that are gone are left out."""
    ids = orjson.loads(chat.dataset_ids)
    records = [inner_record(datasets[dataset_id]) for dataset_id in ids if dataset_id in datasets]
    return _shared(chat) | {"datasets": records, "top_k": chat.top_k}


def inner_record(dataset: Dataset) -> dict[str, Any]:
    """A whole dataset record under RAGFlow's inner names."""
    record = {shown: getattr(dataset, name) for name, shown in _INNER_NAMES.items()}
    return record | _NEVER_RUN | {
        "parser_config": orjson.loads(dataset.parser_config),
        "status": "1",
        "create_date": http_date(dataset.create_time),
        "update_date": http_date(dataset.update_time),
    }  # fmt: skip
