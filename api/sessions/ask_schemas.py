"""Bodies of the questions that belong to no chat."""

from typing import Annotated, Any

from pydantic import Field, StringConstraints

from api.http import LooseBody

Question = Annotated[str, StringConstraints(max_length=100_000)]


class AskBody(LooseBody):
    """Body of POST /api/v1/sessions/ask."""

    question: Question | None = Field(None, description="required")
    dataset_ids: Any = Field(None, description="required: ids of datasets with the same embedding model")


class RelatedQuestionsBody(LooseBody):
    """Body of POST /api/v1/sessions/related_questions."""

    question: Question | None = Field(None, description="required")
    industry: Annotated[str, StringConstraints(max_length=255)] | None = Field(
        None, description="what the questions shall be about"
    )
