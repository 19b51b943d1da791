"""Where the SELECT of ``create sync`` begins and ends, so that the grammar need not read SQL."""

from __future__ import annotations

from collections.abc import Sequence

from unify.language.tokenizer import SqlToken, TokenKind, keyword_set, mask_brackets, significant_tokens

_STARTS = keyword_set("select with from values")


def mask_sql(text: str) -> str:
    """Replace SQL by NUL characters: what is in round brackets, and the SELECT of ``create sync``."""
    tokens = list(significant_tokens(text))
    if [token.keyword for token in tokens[:2]] != ["create", "sync"]:
        return mask_brackets(text)
    start = next((index for index, token in enumerate(tokens) if _begins_select(tokens, index)), None)
    if start is None:
        return mask_brackets(text)
    end = _end_of_select(tokens, start)
    first, last = tokens[start].start, tokens[end - 1].end
    return mask_brackets(text[:first]) + "\0" * (last - first) + text[last:]


def is_in_select(text: str) -> bool:
    """Whether the end of ``text`` is within the SELECT of ``create sync``."""
    masked = mask_sql(text).rstrip()
    return masked.endswith("\0") and masked.lstrip()[:6].lower() == "create"


def _begins_select(tokens: Sequence[SqlToken], index: int) -> bool:
    """Whether a token begins the SELECT: not one in brackets, nor a name, as of a column after BY."""
    depth = sum((token.text == "(") - (token.text == ")") for token in tokens[:index])
    before = tokens[index - 1]
    is_name = before.text in (",", ".") or before.keyword in ("sync", "by", "cursor", "into")
    return index > 3 and depth == 0 and tokens[index].keyword in _STARTS and not is_name


def _end_of_select(tokens: Sequence[SqlToken], start: int) -> int:
    """Return the index of the first token after the SELECT: of EVERY, AFTER LOAD OF or THEN."""
    depth = 0
    for index in range(start, len(tokens)):
        token = tokens[index]
        depth += token.text in ("(", "[", "{") or token.keyword == "case"
        depth -= token.text in (")", "]", "}") or token.keyword == "end"
        if depth == 0 and index > start and _ends_select(tokens[index : index + 3]):
            return index
    return len(tokens)


def _ends_select(tokens: Sequence[SqlToken]) -> bool:
    first, *rest = [token.keyword for token in tokens]
    match first:
        case "every":
            return bool(rest) and tokens[1].kind in (TokenKind.NUMBER, TokenKind.STRING)
        case "after":
            return rest == ["load", "of"]
        case "then":
            return bool(rest) and (rest[0] == "run" or tokens[1].kind is TokenKind.STRING)
    return False
