"""A spec and a recorded case for tests of the case runner."""

from __future__ import annotations

from pathlib import Path

from unify.adapters.spec.model import AdapterSpec
from unify.authoring.cases import (
    Case,
    cases_folder,
    load_case,
)

SPEC = """\
name: tracker
base_url: {url}
options:
  token: {{secret: true, required: true}}
auth: {{type: bearer, token: "{{token}}"}}
paging: {{type: page, size_param: limit, size: 2}}
tables:
  - name: boards
    request: GET /boards
    key: id
    columns: {{title: {{from: name, description: What people call it}}}}
    incremental: {{cursor: changed_at, param: since}}
  - name: cards
    request: GET /boards/{{board}}/cards
    for_each: select id as board from boards
"""


def case_of(spec: AdapterSpec, text: str) -> Case:
    path = cases_folder(Path(spec.path)) / "case.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return load_case(path, spec)


PASSING = """\
table: boards
exchanges:
  - request: GET /boards
    params: {limit: 2, page: 1}
    headers: {Authorization: Bearer dummy-token}
    answer:
      body:
        - {id: 1, name: Lamps, changed_at: 2026-03-01T10:00:00Z}
        - {id: 2, name: Oil, changed_at: 2026-03-02T10:00:00Z}
  - request: GET /boards
    params: {limit: 2, page: 2}
    answer: {body: []}
columns: {id: BIGINT, title: VARCHAR, changed_at: TIMESTAMP WITH TIME ZONE}
rows: [{id: 1, title: Lamps}, {id: 2, changed_at: "2026-03-02 10:00:00+00"}]
cursor: 2026-03-02T10:00:00Z
"""
