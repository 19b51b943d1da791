"""Time cursors as ``incremental``."""

from __future__ import annotations

import re
from collections.abc import Mapping

from msgspec import Struct

from unify.importers.airbyte.context import StreamContext, shown
from unify.importers.airbyte.jinja.durations import duration_text, parse_iso_duration
from unify.importers.airbyte.jinja.values import Applied, Joined, Known, Moment, Operation, Ref, Value
from unify.importers.airbyte.manifest import Component, NotImportable, type_of
from unify.importers.airbyte.requests import RequestDraft, option_place
from unify.importers.common.documents import items_of, members_of, text_of
from unify.importers.model import ImportedColumn, ImportedIncremental, Json

_ISO = re.compile(r"%Y-%m-%d[T ]%H:%M(:%S)?(\.?(%f|%_ms))?(Z|%z|%Z|\+00:00|\+0000)?")
_WHOLE_TIME = "36500 days"  # a window that no load leaves
_FORMATS = {
    "%s": "unix",
    "%s_as_float": "unix",
    "%ms": "unix_ms",
    "%epoch_microseconds": "unix_us",
    "%Y-%m-%d": "date",
}


class CursorPlan(Struct, frozen=True):
    """The cursor of a stream: what the table says, and the column with a format of its own."""

    incremental: ImportedIncremental | None
    column: ImportedColumn | None = None


NO_CURSOR = CursorPlan(None)


def read_cursor(cursor: Component, draft: RequestDraft, ctx: StreamContext) -> CursorPlan:
    """The cursor of a stream; the request gets its parameters. Raises NotImportable."""
    if not cursor:
        _refuse_window(ctx, cursor)
        return NO_CURSOR
    kind = type_of(cursor)
    if kind == "IncrementingCountCursor":
        ctx.note("the counter of the source is not used: each refresh reads everything")
        return NO_CURSOR
    if kind != "DatetimeBasedCursor":
        raise NotImportable(
            f"{kind} (Python)" if kind.startswith("Custom ") else f"incremental by {kind}", cursor
        )
    column = ctx.text(cursor.get("cursor_field"), cursor).replace(".", "_").replace("/", "_")
    start_param = _inject_edges(cursor, draft, ctx)
    is_sent = ctx.uses_cursor or start_param is not None
    if not is_sent and not ctx.uses_until:
        return _unsent_cursor(cursor, column, ctx)
    if not is_sent:
        raise NotImportable("sends the end of the time window only", cursor)
    start, not_before = _start(cursor, ctx)
    window = _window(cursor, ctx) if ctx.uses_until else None
    incremental = ImportedIncremental(
        column,
        param=start_param if not ctx.uses_cursor else None,
        start=start,
        not_before=not_before,
        format=_request_format(cursor, ctx),
        window=window,
        lookback=_duration(cursor.get("lookback_window"), cursor, ctx, "lookback"),
    )
    if start_param is not None and ctx.uses_cursor:
        draft.params[start_param] = "{cursor}"
    return CursorPlan(incremental, _cursor_column(cursor, column))


def _refuse_window(ctx: StreamContext, cursor: Component) -> None:
    if ctx.uses_cursor or ctx.uses_until:
        raise NotImportable("uses a time window that the stream does not have", cursor)


def _unsent_cursor(cursor: Component, column: str, ctx: StreamContext) -> CursorPlan:
    """A cursor that no request sends: newest rows first, or everything is read again."""
    if cursor.get("is_data_feed") is True:
        incremental = ImportedIncremental(column, order="desc")
        return CursorPlan(incremental, _cursor_column(cursor, column))
    if cursor.get("is_client_side_incremental") is True:
        ctx.note("rows older than the start are kept; the source filters them itself")
    return NO_CURSOR


def _inject_edges(cursor: Component, draft: RequestDraft, ctx: StreamContext) -> str | None:
    """Put the edges of the window where the options say; a plain parameter of the start is returned."""
    start_param = None
    start, end = members_of(cursor.get("start_time_option")), members_of(cursor.get("end_time_option"))
    if start:
        place, name = option_place(start, ctx)
        if place == "request_parameter" and not end and "\0" not in name:
            start_param = name
        else:
            draft.inject(start, "{cursor}", ctx)
            ctx.uses_cursor = True
        if place == "header":
            raise NotImportable("sends the cursor in a header", start)
        ctx.moments.add(None)
    if end:
        if option_place(end, ctx)[0] == "header":
            raise NotImportable("sends the cursor in a header", end)
        draft.inject(end, "{until}", ctx)
        ctx.moments.add(None)
        ctx.uses_until = True
    return start_param


# -- start and window --------------------------------------------------------------------------------


def _start(cursor: Component, ctx: StreamContext) -> tuple[str | None, str | None]:
    """``start``: a time, an option, or some days ago; and ``not_before``, the greatest age of it."""
    given = cursor.get("start_datetime")
    settings = given if isinstance(given, Mapping) else {"datetime": given}
    limit = _age(ctx.fold(settings.get("min_datetime"), cursor)) if settings.get("min_datetime") else None
    if (settings.get("min_datetime") and limit is None) or settings.get("max_datetime"):
        ctx.note("a limit of the start is not kept: min_datetime or max_datetime")
    text = settings.get("datetime")
    value = ctx.fold(text, cursor)
    if isinstance(value, Operation) and value.operator == "max":
        sides = (value.left, value.right)
        value = next((each for each in sides if _age(each) is None), value)
        limit = next(filter(None, map(_age, sides)), limit)
    found = _start_text(value, cursor, text, ctx)
    format_ = text_of(settings.get("datetime_format")) or text_of(cursor.get("datetime_format"))
    if isinstance(value, Known) and isinstance(found, str):
        return _as_iso(found, format_), limit
    return found, limit


def _age(value: Value) -> str | None:
    """How long before now a moment is; None for another value."""
    if isinstance(value, Moment) and value.base in ("now", "today") and value.offset_s < 0:
        return duration_text(-value.offset_s)
    return None


def _start_text(value: Value, cursor: Component, text: Json, ctx: StreamContext) -> str | None:
    match value:
        case Known(value=None | ""):
            return None
        case Known():
            return str(value.value)
        case Moment(base="now" | "today"):
            return _ago(-value.offset_s)
        case Ref(root="config", default=str() as default) if not _is_moment(default):
            return f"{{{ctx.option(Ref('config', value.steps))}}}"
        case Ref(root="config"):
            return f"{{{ctx.option(value)}}}"
        case Moment(base=Ref() | Known() as base) if not value.offset_s:
            return _start_text(base, cursor, text, ctx)
        case Applied(target=Ref() as inner):
            return _start_text(inner, cursor, text, ctx)
        case Joined(parts=parts) if all(
            isinstance(each, Known) or (isinstance(each, Ref) and each.root == "config") for each in parts
        ):
            return str(ctx.render(value, cursor, text))
        case _:
            raise NotImportable(f"begins at an expression: {shown(text)}", cursor)


def _is_moment(text: str) -> bool:
    return bool(re.match(r"\d{4}-\d\d|\d{9,}", text))


def _ago(seconds: float) -> str:
    """Some time before now. A start in the future is now."""
    return f"{duration_text(max(seconds, 1))} ago"


def _as_iso(text: str, format_: str) -> str:
    """A start that is written in another way than ISO 8601, if it is a plain date; others are kept."""
    if found := re.fullmatch(r"(\d\d)[/.-](\d\d)[/.-](\d{4})", text):
        day, month = (found[1], found[2]) if format_.startswith("%d") else (found[2], found[1])
        return f"{found[3]}-{month}-{day}"
    if re.fullmatch(r"\d{8}", text):
        return f"{text[:4]}-{text[4:6]}-{text[6:]}"
    return re.sub(r"([+-]\d\d)(\d\d)$", r"\1:\2", text)


def _window(cursor: Component, ctx: StreamContext) -> str:
    """``window``; a request with an end of its own needs one, of any length."""
    end = cursor.get("end_datetime")
    text = end.get("datetime") if isinstance(end, Mapping) else end
    value = ctx.fold(text, cursor) if text else Moment("now")
    if not isinstance(value, Moment) or value.base not in ("now", "today"):
        is_option = isinstance(value, Ref) or (isinstance(value, Moment) and isinstance(value.base, Ref))
        ctx.note("reads up to now; the source has an option for the end" if is_option else "reads up to now")
    return _duration(cursor.get("step"), cursor, ctx, "window") or _WHOLE_TIME


def _duration(text: Json, cursor: Component, ctx: StreamContext, what: str) -> str | None:
    """A duration; one that an option sets has the default of the option."""
    if not text:
        return None
    value = ctx.fold(text, cursor)
    found = value.value if isinstance(value, Known) else None
    if found is None:
        found = _duration_of_option(value, ctx)
        if found is None:
            if what == "lookback":
                ctx.note(f"the lookback is not kept: {shown(text)}")
                return None
            raise NotImportable(f"{what} from an option: {shown(text)}", cursor)
        ctx.note(f"the {what} is fixed: {found}")
    seconds = parse_iso_duration(str(found))
    if seconds is None:
        raise NotImportable(f"{what} {found}", cursor)
    return duration_text(seconds) if seconds else None


def _duration_of_option(value: Value, ctx: StreamContext) -> str | None:
    """The duration with the chosen or default value of its option: ``P{{ config['days'] }}D``."""
    parts = value.parts if isinstance(value, Joined) else (value,)
    texts = []
    for part in parts:
        if isinstance(part, Known):
            texts.append(str(part.value))
            continue
        if not isinstance(part, Ref) or part.root != "config":
            return None
        found = ctx.options.find(tuple(map(str, part.steps)))
        chosen = ctx.options.chosen_value(found.name) if found is not None else None
        default = chosen or (found.default if found is not None else None) or part.default
        if default in (None, ""):
            return None
        texts.append(str(default))
    return "".join(texts)


# -- formats -----------------------------------------------------------------------------------------


def _request_format(cursor: Component, ctx: StreamContext) -> str | None:
    """The format of the edges in requests; None: ISO 8601."""
    own = text_of(cursor.get("datetime_format"))
    formats = {own if each is None else each for each in ctx.moments}
    if len(formats) > 1:
        raise NotImportable(f"sends times in several formats: {', '.join(sorted(formats))}", cursor)
    return time_format(next(iter(formats), own), cursor)


def time_format(text: str, component: Component) -> str | None:
    """A format of the source as one of the spec language. Raises NotImportable for an unknown directive."""
    if text in _FORMATS:
        return _FORMATS[text]
    if "%_ms" in text or "%ms" in text:
        if _ISO.fullmatch(text):
            return None
        raise NotImportable(f"the time format {text}", component)
    if not text or text == "%Y-%m-%dT%H:%M:%S%z":
        return None
    unknown = [each for each in re.findall(r"%-?(.)", text) if each not in "aAwdbBmyYHIpMSfzZjUWcxXVGgusTDF%"]
    if unknown or not re.search(r"%-?[YyGcx]", text):
        raise NotImportable(f"the time format {text}", component)
    return text


def _cursor_column(cursor: Component, column: str) -> ImportedColumn | None:
    """The format of the column itself, if it is neither a number nor ISO 8601."""
    formats = [text_of(each) for each in items_of(cursor.get("cursor_datetime_formats"))]
    formats = formats or [text_of(cursor.get("datetime_format"))]
    plain = [each for each in formats if each and not _ISO.fullmatch(each)]
    if len(plain) < len(formats) or not plain or any(each in _FORMATS for each in plain):
        return None
    if re.fullmatch(r"%a, %d %b %Y.*|%Y/%m/%d.*|%d %b %Y.*|%Y-%m(-%d)?", plain[0]):
        return None
    found = time_format(plain[0], cursor)
    has_time = re.search(r"%-?[HIMSTcXs]", plain[0])
    return ImportedColumn(column, type="timestamp" if has_time else "date", format=found)
