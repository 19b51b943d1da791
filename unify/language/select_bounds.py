"""Where the SELECT of ``create sync`` or ``watch`` begins and ends, so that the grammar need not read SQL."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from unify.language.tokenizer import SqlToken, TokenKind, keyword_set, mask_brackets, significant_tokens

_STARTS = keyword_set("select with from values")
_BEFORE_BY = keyword_set("group order partition cluster union all except intersect")
EndsSelect = Callable[[SqlToken, Sequence[SqlToken]], bool]


def mask_sql(text: str) -> str:
    """Replace SQL by NUL characters: what is in round brackets, and the SELECT of a sync or watch."""
    tokens = list(significant_tokens(text))
    match [token.keyword for token in tokens[:2]]:
        case ["create", "sync"]:
            ends: EndsSelect = _ends_sync
            start = next((index for index, token in enumerate(tokens) if _begins_select(tokens, index)), None)
        case ["watch", word] if word in _STARTS:
            start, ends = 1, _ends_watched
        case _:
            return mask_brackets(text)
    if start is None:
        return mask_brackets(text)
    end = _end_of_select(tokens, start, ends)
    first, last = tokens[start].start, tokens[end - 1].end
    return mask_brackets(text[:first]) + "\0" * (last - first) + mask_brackets(text[last:])


def is_in_select(text: str) -> bool:
    """Whether the end of ``text`` is within the SELECT of ``create sync`` or ``watch``."""
    masked = mask_sql(text).rstrip()
    return masked.endswith("\0") and masked.lstrip().lower().startswith(("create", "watch"))


def _begins_select(tokens: Sequence[SqlToken], index: int) -> bool:
    """Whether a token begins the SELECT: not one in brackets, nor a name, as of a column after BY."""
    depth = sum((token.text == "(") - (token.text == ")") for token in tokens[:index])
    before = tokens[index - 1]
    is_name = before.text in (",", ".") or before.keyword in ("sync", "by", "cursor", "into")
    return index > 3 and depth == 0 and tokens[index].keyword in _STARTS and not is_name


def _end_of_select(tokens: Sequence[SqlToken], start: int, ends: EndsSelect) -> int:
    """Return the index of the first token after the SELECT, where ``ends`` finds an option of the command."""
    depth = 0
    for index in range(start, len(tokens)):
        token = tokens[index]
        depth += token.text in ("(", "[", "{") or token.keyword == "case"
        depth -= token.text in (")", "]", "}") or token.keyword == "end"
        if depth == 0 and index > start and ends(tokens[index - 1], tokens[index : index + 3]):
            return index
    return len(tokens)


def _ends_sync(_before: SqlToken, tokens: Sequence[SqlToken]) -> bool:
    """Whether an option of ``create sync`` begins: EVERY, AFTER LOAD OF or THEN."""
    first, *rest = [token.keyword for token in tokens]
    match first:
        case "every":
            return _is_duration(tokens)
        case "after":
            return rest == ["load", "of"]
        case "then":
            return bool(rest) and (rest[0] == "run" or tokens[1].kind is TokenKind.STRING)
    return False


def _ends_watched(before: SqlToken, tokens: Sequence[SqlToken]) -> bool:
    """Whether an option of ``watch`` begins: BY, EVERY, TO or WHEN ROWS. A name follows one of them.

    ``watch select 1 as a`` has no name: ``as`` belongs to the SELECT.
    """
    first, *rest = [token.keyword for token in tokens]
    match first:
        case "by":
            return before.keyword not in _BEFORE_BY
        case "every":
            return _is_duration(tokens)
        case "to":
            return before.keyword != "similar"
        case "when":
            return bool(rest) and rest[0] == "rows"
    return False


def _is_duration(tokens: Sequence[SqlToken]) -> bool:
    return len(tokens) > 1 and tokens[1].kind in (TokenKind.NUMBER, TokenKind.STRING)
