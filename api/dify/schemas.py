"""Body and reply of Dify's external knowledge API."""

from typing import Annotated, Any

from pydantic import BaseModel, Field

from api.http import LooseBody, Reply


class RetrievalSetting(LooseBody):
    """How much Dify wants."""

    top_k: Annotated[int, Field(ge=1, le=1_000_000, description="more than 1000 is taken as 1000")] = 1024
    score_threshold: Annotated[float, Field(allow_inf_nan=False)] = 0.0


class DifyRetrievalBody(LooseBody):
    """Body of POST /api/v1/dify/retrieval."""

    knowledge_id: str = Field(description="id of the dataset")
    query: str
    retrieval_setting: RetrievalSetting = RetrievalSetting()
    metadata_condition: dict[str, Any] | None = Field(
        None, description="`logical_operator` (or `logic`) and `conditions`; `name` may be a list of one"
    )
    use_kg: bool = False


class DifyRecordReply(Reply):
    """A passage."""

    content: str
    score: float
    title: str
    metadata: dict[str, Any] = Field(description="the document's metadata, and its id as `doc_id`")


class DifyRetrievalReply(BaseModel):
    """Passages, best first."""

    records: list[DifyRecordReply]
