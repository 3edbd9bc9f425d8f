"""Words to search for beside the question's own."""

import re

from rag.answering.ask import ask_model
from rag.answering.prompt import fill_variables
from rag.answering.prompts import PromptLanguage, Prompts
from rag.answering.state import AnswerState
from rag.errors import ModelError
from rag.models.protocol import ChatModel
from rag.text.languages import is_chinese

KEYWORD_COUNT = 3
_TEMPERATURE = 0.2
_LONGEST = 100
_SEPARATOR = re.compile(r"[,，、;；\n]+")


def wants_keywords(state: AnswerState) -> bool:
    """Whether the model is asked for keywords."""
    is_on = state.request.settings.keyword and state.helpers.instructed is not None
    return is_on and state.wants_passages


async def find_keywords(state: AnswerState) -> None:
    """Note the keywords."""
    assert state.helpers.instructed is not None
    state.keywords = await keywords_of(
        state.helpers.instructed,
        state.question,
        prompts=state.helpers.prompts,
        timeout_s=state.helpers.step_timeout_s,
    )


async def keywords_of(model: ChatModel, question: str, *, prompts: Prompts, timeout_s: float) -> str:
    """The model's keywords for a question, separated by commas; "" when it fails."""
    language: PromptLanguage = "zh" if is_chinese(question) else "en"
    instructions = fill_variables(prompts.load("keywords", language), {"count": str(KEYWORD_COUNT)})
    try:
        reply = await ask_model(model, instructions, question, timeout_s=timeout_s, temperature=_TEMPERATURE)
    except ModelError:
        return ""
    words = [" ".join(part.split()) for part in _SEPARATOR.split(reply)]
    chosen = dict.fromkeys(word for word in words if 0 < len(word) <= _LONGEST)
    return ", ".join(list(chosen)[:KEYWORD_COUNT])
