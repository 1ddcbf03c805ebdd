"""Makes the content of a summary with a language model: of one part, or of many parts and then of the notes.

Text that fits the model's context is summarised at once. Longer text is split into parts; the model writes
notes about each part, which are kept, and then one summary of all notes. A part that is still too long for
the model is halved. A part without a usable answer is named in `unseen`; when the model cannot be reached,
the whole attempt fails, and the next one continues with the notes that were kept.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace

from webrtc_host.summaries import prompts
from webrtc_host.summaries.checking import checked
from webrtc_host.summaries.client import LanguageModel, ModelError
from webrtc_host.summaries.content import SECTIONS, Content, Line, Unseen, Why, of_body, to_body
from webrtc_host.summaries.parts import halves, split, tokens_of
from webrtc_host.summaries.reading_answers import Draft, NoAnswer, read_draft
from webrtc_host.summaries.sources import hash_of
from webrtc_host.summaries.templates import Template

logger = logging.getLogger(__name__)

ANSWER_TOKENS_MIN, ANSWER_TOKENS_MAX = 512, 4096
"""Of the context, kept free for the answer: a quarter, within these limits."""
LINES_TOKENS_MIN = 300
SENTENCES_MAX = 60
"""Of a section that is made without the model's last answer, from the notes."""
UNUSABLE = ("malformed", "over_long")
"""Codes of errors that concern one answer, not the model."""


class _TooMuch(Exception):
    """The text, or the answer about it, is longer than the model allows."""


@dataclass(frozen=True, slots=True)
class Made:
    content: Content
    unseen: tuple[Unseen, ...] = ()


@dataclass(frozen=True, slots=True)
class NotesCache:
    """Where notes about parts are kept; both functions belong to one session."""

    get: Callable[[str], Awaitable[str | None]]
    put: Callable[[str, str], Awaitable[None]]


Progress = Callable[[int, int], None]
"""(parts that are done, all parts)."""


def settings_of(model: LanguageModel, template: Template) -> tuple[object, ...]:
    """Everything besides the lines that decides what the model answers."""
    return (
        prompts.PROMPT_VERSION,
        model.name,
        model.context_tokens,
        template.name,
        template.language,
        template.version,
    )


async def make_with_model(
    model: LanguageModel, template: Template, lines: Sequence[Line], cache: NotesCache, progress: Progress
) -> Made:
    """Raises ModelError when the model cannot be used, or has no usable answer at all."""
    return await _Making(model, template, cache, progress).of(lines)


@dataclass(slots=True)
class _Making:
    """One attempt to make one summary."""

    model: LanguageModel
    template: Template
    cache: NotesCache
    progress: Progress
    unseen: list[Unseen] = field(default_factory=list)
    lines: dict[str, Line] = field(default_factory=dict)

    async def of(self, lines: Sequence[Line]) -> Made:
        self.lines.update((line.segment, line) for line in lines)
        parts = split(lines, self._tokens_max())
        try:
            if len(parts) == 1:
                messages = prompts.of_lines(self.template, lines, is_part=False)
                content = await self._ask(messages, self.lines)
            else:
                content = await self._of_parts(parts)
        except _TooMuch:
            content = await self._of_parts(halves(lines) if len(lines) > 1 else parts)
        if content is None:
            raise ModelError("malformed", "the language model gave no answer that could be used")
        return Made(content, tuple(self.unseen))

    def _tokens_max(self) -> int:
        """Tokens of lines that fit beside the instructions and the answer."""
        context = self.model.context_tokens
        reserved = min(max(context // 4, ANSWER_TOKENS_MIN), ANSWER_TOKENS_MAX)
        said = sum(tokens_of(one["content"]) for one in prompts.of_lines(self.template, (), is_part=True))
        return max(context - reserved - said, LINES_TOKENS_MIN)

    async def _of_parts(self, parts: Sequence[tuple[Line, ...]]) -> Content | None:
        notes: list[Content] = []
        for number, part in enumerate(parts):
            self.progress(number, len(parts))
            notes += await self._notes(part)
        self.progress(len(parts), len(parts))
        return await self._joined(notes) if notes else None

    async def _notes(self, part: tuple[Line, ...]) -> list[Content]:
        """Notes about a part, from the cache when there are some; several when it had to be halved."""
        source = hash_of(settings_of(self.model, self.template), part)
        kept = await self.cache.get(source)
        if kept is not None:
            return [of_body(json.loads(kept))]
        lines = {line.segment: line for line in part}
        try:
            notes = await self._ask(prompts.of_lines(self.template, part, is_part=True), lines)
        except _TooMuch:
            if len(part) > 1:
                return [one for half in halves(part) for one in await self._notes(half)]
            self._miss(part, Why.TOO_LONG)
            return []
        if notes is None:
            self._miss(part, Why.NO_ANSWER)
            return []
        await self.cache.put(source, json.dumps(to_body(notes, lines), ensure_ascii=False))
        return [notes]

    async def _joined(self, notes: list[Content]) -> Content:
        """One summary of the notes; without a usable answer, all their sentences."""
        limit = self._tokens_max()
        while len(notes) > 1 and _tokens(notes) > limit:
            joined = [await self._join(group, is_last=False) for group in _groups(notes, limit)]
            if len(joined) == len(notes):
                break
            notes = joined
        return await self._join(notes, is_last=True)

    async def _join(self, notes: Sequence[Content], *, is_last: bool) -> Content:
        if len(notes) == 1 and not is_last:
            return notes[0]
        lines = {cite: self.lines[cite] for one in notes for cite in one.cites if cite in self.lines}
        try:
            messages = prompts.of_notes(self.template, notes, is_last=is_last)
            content = await self._ask(messages, lines)
        except _TooMuch:
            content = None
        dropped = sum(one.dropped for one in notes)
        if content is None:
            return _together(notes, dropped)
        return replace(content, dropped=content.dropped + dropped)

    async def _ask(self, messages: prompts.Messages, lines: dict[str, Line]) -> Content | None:
        """The checked answer; None when the model gave no usable one twice. Raises _TooMuch."""
        for attempt in range(2):
            again = [{"role": "user", "content": prompts.AGAIN}] if attempt else []
            try:
                draft = await self._draft([*messages, *again], list(lines))
            except NoAnswer as error:
                logger.warning("an answer of the language model cannot be used: %s", error)
                continue
            content = checked(draft, lines)
            if content.sentences or content.topics or not content.dropped:
                return content
            logger.warning("an answer of the language model cites none of the lines that it read")
        return None

    async def _draft(self, messages: prompts.Messages, ids: Sequence[str]) -> Draft:
        """Raises NoAnswer and _TooMuch."""
        try:
            answer = await self.model.answer(messages, prompts.answer_schema(self.template, ids))
        except ModelError as error:
            if error.code == "too_long":
                raise _TooMuch from error
            if error.code in UNUSABLE:
                raise NoAnswer(str(error)) from error
            raise
        if answer.is_cut:
            raise _TooMuch
        return read_draft(answer.text)

    def _miss(self, part: Sequence[Line], why: Why) -> None:
        from_ms, to_ms = part[0].start_ms, max(line.end_ms for line in part)
        self.unseen.append(Unseen(why, from_ms, to_ms, to_ms - from_ms))


def _tokens(notes: Sequence[Content]) -> int:
    return sum(tokens_of(text) for one in notes for text in prompts.note_lines(one))


def _groups(notes: Sequence[Content], limit: int) -> list[list[Content]]:
    """Neighbouring notes that fit the model's context together, at least two in a group."""
    groups: list[list[Content]] = []
    filled = 0
    for one in notes:
        size = _tokens((one,))
        if groups and (len(groups[-1]) < 2 or filled + size <= limit):
            groups[-1].append(one)
            filled += size
        else:
            groups.append([one])
            filled = size
    return groups


def _together(notes: Sequence[Content], dropped: int) -> Content:
    """All sentences of the notes, in their order."""
    summary, decisions, actions = (
        tuple(sentence for one in notes for sentence in getattr(one, name))[:SENTENCES_MAX]
        for name in SECTIONS
    )
    topics = tuple(topic for one in notes for topic in one.topics)[:SENTENCES_MAX]
    title = next((one.title for one in notes if one.title), "")
    return Content(title, summary, decisions, actions, topics, dropped)
