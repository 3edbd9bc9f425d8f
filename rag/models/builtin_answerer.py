"""The built-in answerer: quotes the best sentences of the retrieved passages, and says what it is."""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock

from rag.models.builtin_embedding import BuiltinEmbedding
from rag.models.protocol import ChatDelta, ChatRequest, ChatUsage, Message
from rag.models.sentence_scores import ScoredSentence, count_content_words, score_sentences
from rag.models.untrusted import neutralise
from rag.text.languages import detect
from rag.text.tokens import count_tokens, truncate

BUILTIN_ANSWERER = "builtin-extractive@Builtin"

CONTEXT_TOKENS = 32_768
_MOST_SENTENCES = 5
# A sentence far below the best one is not about the question: leaving it out shortens more than it loses.
_NEAR_BEST = 0.75
# The same of the part of the score that the sentence has by itself: all sentences of a passage share the rest.
_NEAR_BEST_OWN = 0.65
_NEAR_BEST_OWN_CJK = 0.8
# Characters of a reply with its citations; a Chinese character says about as much as four Latin ones.
_REPLY_CHARACTERS = 700
_REPLY_CHARACTERS_CJK = 175
_CITATION_CHARACTERS = 8
# Below these the best sentence says that the passages do not answer the question (docs/decisions/0031).
_LOWEST_SCORE = 0.809
_LOWEST_SCORE_CJK = 1.087
# A sentence that holds (nearly) every content word of the question may score that much less.
_WHOLLY_HELD = 0.9
_HELD_RELIEF = 0.25
_HELD_RELIEF_CJK = 0.1
_CJK = frozenset({"zh", "ja", "ko"})

_FINAL_PUNCTUATION = re.compile(r"[\s.。!！?？…”\"’')）\]]*\Z")
_SHORT_QUESTION_WORDS = 2
_PRONOUN = re.compile(
    r"\b(?:it|its|they|them|their|he|she|his|her|him|this|that|these|those|er|sie|es|ihn|ihm|ihr|il|elle|lui|ella"
    r"|ello)\b|[他她它]们?|这个|那个|这些|那些|其",
    re.IGNORECASE,
)
_EARLIER_QUESTIONS = 2

# (nothing in the passages answers, there are no passages)
_REFUSALS = {
    "en": (
        "I found no passage in the documents that answers this question.",
        "I can only quote from the documents of datasets, and there is no passage to quote for this question.",
    ),
    "zh": (
        "在文档中没有找到能够回答这个问题的内容。",
        "我只能引用数据集文档中的原文，目前没有可供引用的内容。",
    ),
    "de": (
        "In den Dokumenten habe ich keine Stelle gefunden, die diese Frage beantwortet.",
        "Ich kann nur aus den Dokumenten von Datensätzen zitieren, und zu dieser Frage liegt keine Stelle vor.",
    ),
    "fr": (
        "Je n'ai trouvé dans les documents aucun passage qui réponde à cette question.",
        "Je ne peux que citer les documents des jeux de données, et aucun passage n'est disponible.",
    ),
    "es": (
        "No he encontrado en los documentos ningún pasaje que responda a esta pregunta.",
        "Solo puedo citar los documentos de los conjuntos de datos, y no hay ningún pasaje disponible.",
    ),
    "it": (
        "Nei documenti non ho trovato alcun passo che risponda a questa domanda.",
        "Posso solo citare i documenti dei dataset, e per questa domanda non c'è alcun passo.",
    ),
    "pt": (
        "Não encontrei nos documentos nenhum trecho que responda a esta pergunta.",
        "Só posso citar os documentos dos conjuntos de dados, e não há nenhum trecho disponível.",
    ),
    "ja": (
        "文書の中に、この質問に答える箇所は見つかりませんでした。",
        "データセットの文書からの引用しかできませんが、引用できる箇所がありません。",
    ),
}


class BuiltinAnswerer:
    """`builtin-extractive` as a ChatModel: no key, no network, a reply within tens of milliseconds.

    It quotes; it does not write, translate, count or conclude. Framing words are in the question's
    language, quotations stay as they are. Without `ChatRequest.passages` it says that it can only quote.
    """

    def __init__(self, embedding: BuiltinEmbedding) -> None:
        self._embedding = embedding
        self._executor: ThreadPoolExecutor | None = None
        self._lock = Lock()

    @property
    def name(self) -> str:
        """`builtin-extractive@Builtin`."""
        return BUILTIN_ANSWERER

    @property
    def context_tokens(self) -> int:
        """32,768: what a prompt may hold; only the passages are read."""
        return CONTEXT_TOKENS

    async def stream(self, request: ChatRequest) -> AsyncIterator[ChatDelta]:
        """Sentence by sentence, all of them chosen before the first."""
        loop = asyncio.get_running_loop()
        pieces, is_cut = await loop.run_in_executor(self._threads(), self.reply, request)
        for piece in pieces:
            yield ChatDelta(text=piece)
            await asyncio.sleep(0)  # so that each piece can be sent before the next
        prompt_tokens = sum(count_tokens(message.content) for message in request.messages)
        usage = ChatUsage(prompt_tokens, count_tokens("".join(pieces)))
        yield ChatDelta(finish_reason="length" if is_cut else "stop", usage=usage)

    def reply(self, request: ChatRequest) -> tuple[list[str], bool]:
        """The reply's pieces, and whether `max_tokens` cut it."""
        question = _last_question(request.messages)
        language = detect(question)
        token_limit = request.settings.get("max_tokens") or request.settings.get("max_completion_tokens")
        limit = token_limit if isinstance(token_limit, int) and token_limit > 0 else None
        nothing_found, nothing_given = _REFUSALS.get(language, _REFUSALS["en"])
        if not request.passages:
            return _cut([nothing_given], limit)
        context = _context(question, request.messages)
        scored = score_sentences(question, request.passages, self._embedding, context)
        is_cjk = language in _CJK
        # Code is quoted only where no sentence answers.
        prose = [sentence for sentence in scored if not sentence.quotable.is_code]
        if _answers(prose, is_cjk=is_cjk):
            scored = prose
        elif not _answers(scored, is_cjk=is_cjk):
            return _cut([nothing_found], limit)
        return _cut(_arrange(_choose(scored, limit), is_citing=request.is_citing), limit)

    async def close(self) -> None:
        """Drop questions that are still queued."""
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)
            self._executor = None

    def _threads(self) -> ThreadPoolExecutor:
        with self._lock:
            if self._executor is None:
                self._executor = ThreadPoolExecutor(max_workers=2, thread_name_prefix="answer")
            return self._executor


def _answers(scored: Sequence[ScoredSentence], *, is_cjk: bool) -> bool:
    lowest = _LOWEST_SCORE_CJK if is_cjk else _LOWEST_SCORE
    relief = _HELD_RELIEF_CJK if is_cjk else _HELD_RELIEF
    return any(
        sentence.score >= lowest - (relief if sentence.held_share >= _WHOLLY_HELD else 0)
        for sentence in scored
    )


def _choose(scored: Sequence[ScoredSentence], token_limit: int | None) -> list[ScoredSentence]:
    """The best sentences within the reply's length; the best one in any case. A text is quoted once.

    A further sentence holds a content word of the question and is not far below the best one.
    """
    ranked = sorted(scored, key=lambda sentence: -sentence.score)
    best = ranked[0]
    is_cjk = detect(best.quotable.text) in _CJK
    lowest_own = (_NEAR_BEST_OWN_CJK if is_cjk else _NEAR_BEST_OWN) * best.own_score
    room = _REPLY_CHARACTERS_CJK if is_cjk else _REPLY_CHARACTERS
    tokens_left = token_limit
    chosen: list[ScoredSentence] = []
    seen: set[str] = set()
    for sentence in ranked:
        text = sentence.quotable.text
        if sentence.score < _NEAR_BEST * best.score:
            break
        if sentence is not best and (sentence.held_share == 0 or sentence.own_score < lowest_own):
            continue
        if text in seen:
            continue
        size = len(text) + _CITATION_CHARACTERS
        token_count = count_tokens(text) + _CITATION_CHARACTERS if tokens_left is not None else 0
        fits = size <= room and (tokens_left is None or token_count <= tokens_left)
        if chosen and not fits:
            continue
        chosen.append(sentence)
        seen.add(text)
        room -= size
        if tokens_left is not None:
            tokens_left -= token_count
        if len(chosen) == _MOST_SENTENCES or room <= 0:
            break
    return chosen


def _arrange(chosen: Sequence[ScoredSentence], *, is_citing: bool) -> list[str]:
    """One paragraph for each passage, the best sentence's first; within it in the passage's order."""
    by_passage: dict[int, list[ScoredSentence]] = {}
    for sentence in chosen:
        by_passage.setdefault(sentence.passage, []).append(sentence)
    pieces: list[str] = []
    for sentences in by_passage.values():
        previous: ScoredSentence | None = None
        for sentence in sorted(sentences, key=lambda item: item.quotable.order):
            quoted = _quote(sentence, is_citing=is_citing)
            if previous is not None:
                separator = "\n" if previous.quotable.is_row or sentence.quotable.is_row else " "
            else:
                separator = "\n\n" if pieces else ""
            pieces.append(separator + quoted)
            previous = sentence
    return pieces


def _quote(sentence: ScoredSentence, *, is_citing: bool) -> str:
    text = neutralise(sentence.quotable.text)
    if not is_citing:
        return text
    end = _FINAL_PUNCTUATION.search(text)
    cut = end.start() if end else len(text)
    return f"{text[:cut]} [ID:{sentence.passage}]{text[cut:]}"


def _cut(pieces: list[str], token_limit: int | None) -> tuple[list[str], bool]:
    if token_limit is None:
        return pieces, False
    kept: list[str] = []
    for piece in pieces:
        size = count_tokens(piece)
        if size > token_limit:
            rest = truncate(piece, token_limit)
            return ([*kept, rest] if rest else kept), True
        kept.append(piece)
        token_limit -= size
    return kept, False


def _last_question(messages: Sequence[Message]) -> str:
    return next((message.content for message in reversed(messages) if message.role == "user"), "")


def _context(question: str, messages: Sequence[Message]) -> str:
    """Earlier questions, where the last one does not stand by itself ("And his wife?")."""
    if count_content_words(question) > _SHORT_QUESTION_WORDS and not _PRONOUN.search(question):
        return ""
    asked = [message.content for message in messages if message.role == "user"][:-1]
    return " ".join(asked[-_EARLIER_QUESTIONS:])
