"""The question in other languages."""

import re
from collections.abc import Sequence

from rag.answering.ask import ask_model
from rag.answering.prompt import fill_variables
from rag.answering.prompts import Prompts
from rag.answering.state import AnswerState
from rag.errors import ModelError
from rag.models.protocol import ChatModel

MAX_LANGUAGES = 10
_TEMPERATURE = 0.2
_LONGEST_NAME = 40
_SEPARATOR = re.compile(r"\s*={3,}\s*")
_LABEL = re.compile(r"\A\s*output\s*[:：]\s*", re.IGNORECASE)


def wants_translation(state: AnswerState) -> bool:
    """Whether the question is searched in other languages as well."""
    is_on = bool(language_names(state.request.settings.cross_languages))
    return is_on and state.helpers.instructed is not None and state.wants_passages


async def translate_question(state: AnswerState) -> None:
    """Note the translations; the original is searched for as well."""
    assert state.helpers.instructed is not None
    state.translations = await translations_of(
        state.helpers.instructed,
        state.question,
        state.request.settings.cross_languages,
        prompts=state.helpers.prompts,
        timeout_s=state.helpers.step_timeout_s,
    )


async def translations_of(
    model: ChatModel, question: str, languages: Sequence[str], *, prompts: Prompts, timeout_s: float
) -> list[str]:
    """The question in these languages, without repetitions of itself; none when the model fails."""
    names = language_names(languages)
    instructions = fill_variables(prompts.load("translate"), {"languages": ", ".join(names)})
    try:
        reply = await ask_model(model, instructions, question, timeout_s=timeout_s, temperature=_TEMPERATURE)
    except ModelError:
        return []
    found = [" ".join(part.split()) for part in _SEPARATOR.split(_LABEL.sub("", reply))]
    distinct = dict.fromkeys(text for text in found if text and text != question)
    return list(distinct)[: len(names)]


def language_names(languages: Sequence[object]) -> list[str]:
    """What can be the name of a language: short, on one line."""
    names = (" ".join(one.split()) for one in languages if isinstance(one, str))
    return list(dict.fromkeys(name for name in names if 0 < len(name) <= _LONGEST_NAME))[:MAX_LANGUAGES]
