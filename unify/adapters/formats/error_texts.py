"""What a text beside an empty list says: that the request failed, that nothing did, or what the rows are."""

from __future__ import annotations

import re

from unify.patterns import LazyPattern

_FAILURE_WORDS = LazyPattern(
    r"\b(invalid|errors?|fail(ed|ure)?|denied|unauthori[sz]ed|forbidden|expired|missing|not allowed|wrong|"
    r"exceed(ed|s)?|incorrect|illegal|bad|exception|refused|required|unknown (user|key|token|account))\b",
    re.IGNORECASE,
)
_GIVEN = (
    r"(key|token|credentials?|param(eter)?s?|arguments?|request|signature|password|user ?name|user|account|"
    r"session|auth\w*|id|value|format|date|input|field|header|query|login|scope|client|filter|grant|licen[cs]e|"
    r"method|json|syntax|secret|certificate|app ?id|api ?key|access ?token|timestamp|range|url|cursor|page)"
)
_FAULTY = r"(invalid|wrong|incorrect|illegal|missing|expired|unknown|malformed|unsupported|bad|revoked)"
# "Invalid token" is an error and "Invalid invoices" the rows: a plural says what the list contains.
_CLEAR_ERRORS = LazyPattern(
    rf"\b{_FAULTY} ([\w-]+ ){{0,2}}{_GIVEN}\b|"
    r"^(the |this |your |an? )?(invalid|unauthori[sz]ed|forbidden|illegal)\b(?! ([\w-]+ )*\w+s$)|"
    r"\b(is|was|are|were|has|have|been) (missing|required|invalid|expired|wrong|incorrect|denied|forbidden|"
    r"refused|illegal|exceeded|revoked|disabled|suspended|blocked|failed|unauthori[sz]ed|rejected)\b|"
    rf"\b({_GIVEN}|limit|quota|subscription|trial|plan) (expired|exceeded|reached|revoked|required|missing|"
    r"invalid|incorrect|wrong)\b|"
    r"\bexceed(s|ed)? (the |your |its )?([\w-]+ ){0,2}(limits?|quota|maximum|max|rate|allowed)\b|"
    r"\b(access|permission|request|connection|authentication|authori[sz]ation|login|query|call|operation|"
    r"validation|verification|signature|check|search|export|lookup) (has |was |is )?(failed|denied|refused|"
    r"rejected|forbidden|aborted|timed out|failure)\b|"
    r"\bnot (allowed|authori[sz]ed|permitted|authenticated|logged in|valid|acceptable)\b|^not ?ok$|"
    r"\btoo many requests\b|"
    r"^(failed|unable) to\b|^(request )?(failed|failure|fail|denied|expired|exception|wrong|incorrect)$|"
    r"^(an? |the )?error( code)?$|^error ([\w-]*ing|in|on|at|while|when|code|\d+)\b|"
    r"\b(errors?|exceptions?|failures?) (has |have |was |were )?(been )?(occurred|happened|raised)\b|"
    r"\b(internal|server|system|network|database|syntax|authentication|validation|auth|query|sql|unexpected|"
    r"unknown|pars(e|ing)|api|gateway|request|timeout|connection|fatal|runtime|backend|upstream|an) "
    r"(error|failure|exception)\b(?! [\w-]+s$)",
    re.IGNORECASE,
)
_NEGATION = LazyPattern(
    r"\b(no|0|zero|without|nothing|none|nobody|never|neither|nor|(is|are|was|were|has|have|had|did|do)n'?t|"
    r"not (an?|any|find|found|seen?|encounter(ed)?|been|currently|yet|invalid|missing|expired|required|"
    r"exceed(ed)?|denied|fail(ed)?))\b|\bnot *$",
    re.IGNORECASE,
)
_NO_ERROR = LazyPattern(
    r"\W*(ok(ay)?|success(ful(ly)?)?|succeeded|done|none|n/?a|null|nil|no|"
    r"(there (is|are|were|was) )?(no|0|zero|without)( any)? "
    r"(errors?|failures?|faults?|exceptions?|problems?|issues?)( \w+){0,3}|"
    r"(errors?|failures?|failed|faults?|exceptions?)\W+(0|none|no|nil|null))\W*",
    re.IGNORECASE,
)
_REFUSED_LOGIN = LazyPattern(
    r"\W*(invalid|expired|missing|wrong|incorrect|revoked) ((api|access|auth|app)[ _-]?)?"
    r"(token|key|credentials?)\W*",
    re.IGNORECASE,
)
_CLAUSE_ENDS = re.compile(r"[.;:!?,]+(?:\s+|$)|\s+-\s+|\n+")


def denies_error(text: str) -> bool:
    """Whether it says no more than that there was no error: ``No errors found``, ``Errors: 0``, ``OK``."""
    return _NO_ERROR.fullmatch(text) is not None


def names_failure(text: str) -> bool:
    """Whether it has a word of failure that is not negated. Enough only beside a code of failure."""
    return _is_found(_FAILURE_WORDS, text)


def is_clear_error(text: str) -> bool:
    """Whether it can only mean that the request failed: ``Invalid key``, and not ``Failed jobs of today``."""
    return _is_found(_CLEAR_ERRORS, text)


def is_refused_login(text: str) -> bool:
    """Whether it is ``Invalid token`` or the like, and nothing else."""
    return _REFUSED_LOGIN.fullmatch(text) is not None


def _is_found(pattern: LazyPattern, text: str) -> bool:
    if denies_error(text):
        return False
    for clause in _CLAUSE_ENDS.split(text.replace("_", " ")):
        found = pattern.search(clause.strip())
        if found is not None and not _NEGATION.search(clause.strip()[: found.start()]):
            return True
    return False
