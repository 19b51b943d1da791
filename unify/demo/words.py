"""The vocabulary of the sample data. All of it is invented; ``.example`` is a reserved domain."""

from __future__ import annotations

from typing import NamedTuple


class OrgTemplate(NamedTuple):
    login: str
    name: str
    description: str
    location: str


class RepoTemplate(NamedTuple):
    """A repository, and its number of records; ``subjects`` are the topics of its issues."""

    owner: str
    name: str
    description: str
    language: str | None
    private: bool
    pulls: int
    issues: int  # without pull requests
    commits: int
    topics: tuple[str, ...]
    subjects: tuple[str, ...]


VIEWER = "demo"  # the person the token belongs to

ORGS = (
    OrgTemplate(
        "harbor-analytics", "Harbor Analytics", "Dashboards people read before the meeting", "Gdańsk"
    ),
    OrgTemplate("kestrel-energy", "Kestrel Energy", "Wind, forecast and grid software", "Aarhus"),
    OrgTemplate("northwind-data", "Northwind Data", "Ledgers and pipelines for shops", "Seattle"),
    OrgTemplate("orchard-health", "Orchard Health", "Appointments without the phone queue", "Nairobi"),
    OrgTemplate("papertrail-press", "Papertrail Press", "A small publisher with many scripts", "Kraków"),
)

REPOS = (
    RepoTemplate(
        "harbor-analytics", "compass", "Query engine behind the dashboards", "Rust", False, 260, 620, 520,
        ("sql", "query-engine", "analytics"),
        ("query planner", "date filter", "CSV export", "join order", "session cache", "window function"),
    ),
    RepoTemplate(
        "harbor-analytics", "dashboards", "The web application", "TypeScript", False, 140, 380, 300,
        ("react", "dashboard"),
        ("chart legend", "share link", "dark theme", "filter bar", "print view", "tooltip"),
    ),
    RepoTemplate(
        "harbor-analytics", "pier", "Infrastructure as code", "HCL", True, 40, 60, 120,
        ("terraform",),
        ("staging cluster", "DNS record", "backup job", "alert rule"),
    ),
    RepoTemplate(
        "kestrel-energy", "gridwatch", "Live state of the grid", "Go", False, 150, 360, 320,
        ("energy", "time-series"),
        ("frequency alarm", "substation map", "event stream", "outage report", "sampling rate"),
    ),
    RepoTemplate(
        "kestrel-energy", "turbine-models", "Forecast models for wind parks", "Python", False, 60, 140, 110,
        ("forecasting", "weather"),
        ("gust model", "weather import", "power curve", "training run"),
    ),
    RepoTemplate(
        "kestrel-energy", "firmware", "Sensor firmware", "C", True, 48, 130, 100,
        ("embedded",),
        ("watchdog timer", "radio driver", "bootloader", "battery gauge"),
    ),
    RepoTemplate(
        "northwind-data", "ledger", "Double-entry bookkeeping as a service", "Java", False, 180, 450, 380,
        ("accounting", "payments"),
        ("currency rounding", "invoice number", "tax table", "bank import", "audit log", "refund"),
    ),
    RepoTemplate(
        "northwind-data", "pipelines", "Nightly imports", "Python", False, 120, 300, 240,
        ("etl", "duckdb"),
        ("retry policy", "schema check", "orders import", "price feed", "checkpoint"),
    ),
    RepoTemplate(
        "northwind-data", "sample-queries", "Queries for new colleagues", "SQL", False, 12, 25, 40,
        ("sql", "examples"),
        ("cohort query", "stock query", "readme"),
    ),
    RepoTemplate(
        "orchard-health", "intake", "Patient registration", "Kotlin", True, 90, 260, 180,
        ("healthcare", "forms"),
        ("consent form", "address check", "upload of documents", "language switch"),
    ),
    RepoTemplate(
        "orchard-health", "scheduler", "Finds a free appointment", "Python", False, 50, 155, 120,
        ("scheduling",),
        ("waiting list", "daylight saving time", "reminder mail", "room plan"),
    ),
    RepoTemplate(
        "orchard-health", "design-system", "Components and colours", "CSS", False, 30, 80, 80,
        ("design-system", "accessibility"),
        ("focus ring", "contrast", "date picker", "icon set"),
    ),
    RepoTemplate(
        "papertrail-press", "press", "Typesetting from Markdown", "Lua", False, 15, 30, 60,
        ("typesetting",),
        ("hyphenation", "table of contents", "cover page"),
    ),
    RepoTemplate(
        "papertrail-press", "style-guide", "How we write", None, False, 5, 10, 20,
        (),
        ("comma rule", "glossary"),
    ),
    RepoTemplate(VIEWER, "notes", "An empty repository", None, True, 0, 0, 0, (), ("note",)),
)  # fmt: skip

FIRST_NAMES = (
    "Ada", "Amara", "Anton", "Bashir", "Beatriz", "Bo", "Camille", "Chidi", "Dagny", "Elif", "Emeka",
    "Farah", "Grace", "Hana", "Ingrid", "Ivo", "Jun", "Kaja", "Leila", "Mateusz", "Mei", "Nadia", "Noor",
    "Olu", "Paweł", "Priya", "Rafael", "Sana", "Søren", "Tomás", "Uma", "Yusuf", "Zoë",
)  # fmt: skip
LAST_NAMES = (
    "Adeyemi", "Bauer", "Castro", "Dahl", "Eriksen", "Fontaine", "García", "Haddad", "Ito", "Jensen",
    "Kowalska", "Lindqvist", "Mbeki", "Novák", "Okafor", "Petrov", "Quispe", "Rossi", "Santos", "Tanaka",
)  # fmt: skip
LOCATIONS = ("Berlin", "Bogotá", "Kyoto", "Lagos", "Leeds", "Lisboa", "Montréal", "Oslo", "Pune", "Zürich")

PULL_VERBS = (
    "Fix", "Add tests for", "Speed up", "Refactor", "Document", "Simplify", "Rewrite", "Remove unused", "Log",
    "Make configurable:", "Handle errors of", "Cache",
)  # fmt: skip
ISSUE_OPENINGS = (
    "Crash in", "Wrong result from", "Slow:", "Allow to configure", "Unclear message from", "Flaky test:",
    "Documentation of", "Support for", "Regression in", "Memory grows in", "Proposal: new",
    "“Invalid” shown by",
)  # fmt: skip
CIRCUMSTANCES = (
    "when the list is empty", "after a restart", "with more than 10,000 rows", "on a slow network",
    "in the year 2038", "for names like O'Brien", "with 50 % zoom", "for Zürich, São Paulo and 東京",
    "behind a proxy", "if nobody is signed in", "on Windows", "in read-only mode", "for new accounts",
    "while a backup runs", "(again)", "🚀", "with a comma, a \"quote\" and a \\ in it", "in a leap year",
)  # fmt: skip
LABELS = (
    ("bug", "d73a4a", "Something is not working", True),
    ("documentation", "0075ca", "Improvements or additions to documentation", True),
    ("duplicate", "cfd3d7", "This exists already", True),
    ("enhancement", "a2eeef", "New feature or request", True),
    ("good first issue", "7057ff", "Good for newcomers", True),
    ("help wanted", "008672", "Extra attention is needed", True),
    ("performance", "fbca04", None, False),
    ("security", "b60205", "Handle with care", False),
    ("wontfix", "ffffff", "This will not be worked on", True),
)
BODIES = (
    "Steps to reproduce:\r\n\r\n1. Open the page\r\n2. Wait\r\n3. See the error\r\n\r\nExpected: a result.",
    "Seen by three customers this week. The log says:\n\n```\nERROR timeout after 30 s\n```\n",
    "This makes the common case about twice as fast.\n\n- [x] tests\n- [ ] docs\n",
    "Follow-up of the discussion on Tuesday. Nothing changes for people who did not ask for it.",
    "Ça marche en local, mais pas en production. Siehe Protokoll. 日本語でも大丈夫です。",
    "",
)
