"""No secret appears in the output when a server repeats credentials: each auth method, each response.

Output is the result of a check, the errors and requests that a worker reports, and the messages of the shell
with their tracebacks.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing

import pytest
from msgspec import convert

from tests.support.auth_cases import AuthCase, auth_cases, canary_secret, header_check
from tests.support.echo_responses import ECHO_RESPONSES, echo
from tests.support.fault_server import FaultServer, MockResponse, RecordedRequest
from tests.support.home_files import encoded_forms
from tests.support.oauth_server import CLIENT_ID, DEVICE_CODE, BrowserUser, OAuthServer
from tests.support.stores import TABLE
from unify.adapters.base import Listeners, Read
from unify.adapters.http.rate_limit import Clock
from unify.adapters.rest.adapter import RESTAdapter
from unify.adapters.spec.auth import Auth
from unify.adapters.spec.model import AdapterSpec, CheckSpec, TableSpec
from unify.adapters.spec.paging import Paging
from unify.config.secrets import Secret
from unify.errors import UnifyError
from unify.load.protocol import LoadTask, TaskResult, WorkerMessage, encode_message
from unify.load.worker import Reporter, _run_task
from unify.model import Action, ConfigPaths
from unify.redaction import Redactor
from unify.render.messages import Messages

TABLES = (
    TableSpec("items", ("GET /items",), rows="items", paging=Paging("next_url", path="next")),
    TableSpec("things", ("GET /items",), paging=Paging("auto")),
)
GRANTS = {"authorization_code": "authorize", "device_code": "device"}


def _interactive_case(grant: str) -> AuthCase:
    auth = {"type": "oauth2", "grant": grant, "client_id": CLIENT_ID, "client_secret": "{secret}"}
    auth |= {"token_url": "{url}/token", "authorize_url": f"{{url}}/{GRANTS[grant]}"}
    tokens = ("access-canary-1", "refresh-canary-1", "code-canary-0", DEVICE_CODE)
    return AuthCase(grant, auth, header_check("authorization", ""), {"secret": canary_secret(grant)}, tokens)


CASES = {case.name: case for case in [*auth_cases(), *map(_interactive_case, GRANTS)]}


class NoWaitClock(Clock):
    def wait(self, stop: threading.Event, _seconds: float) -> bool:
        return stop.is_set()


class AdapterUse:
    """Checks and loads an API and records every text that is shown, logged or stored."""

    def __init__(self, case: AuthCase, url: str) -> None:
        self.texts: list[str] = []
        self._case = case
        self._url = url

    def check_in_shell(self) -> bool:
        """Check the connection; return whether that failed."""
        stream = io.StringIO()
        messages = Messages(stream, debug=True)
        listeners = Listeners(lambda traffic: self.texts.append(repr(traffic)))
        failed = True
        try:
            with closing(self._open_adapter(listeners, messages.redactor)) as adapter:
                check = adapter.check()
                self.texts.append(repr(check))
                failed = not check.accepted
        except UnifyError as error:
            self.texts += [error.message, repr(error)]
            messages.error(error)
            messages.notice(str(error))
        except Exception as error:  # noqa: BLE001 - its message is searched, too
            messages.internal_error(error)
        self.texts.append(stream.getvalue())
        return failed

    def load_in_worker(self, table: str) -> bool:
        """Load a table; return whether that failed."""
        sent: list[WorkerMessage] = []
        task = LoadTask(1, "u", 1, "main", Action.LOAD, TABLE, ConfigPaths("c.yaml"), "/home", "/folder")
        reporter = Reporter(task, sent.append)
        result = _run_task(task, reporter, PagesReader(self, table))
        reporter.send_requests()
        self.texts += [encode_message(message).decode() for message in (result, *sent)]
        return result.failure is not None and result.failure.kind != EndOfPages.__name__

    def read_pages(self, table: str, reporter: Reporter) -> None:
        listeners = Listeners(lambda traffic: reporter.add_request(traffic.to_record("shop")))
        with closing(self._open_adapter(listeners, reporter.redactor)) as adapter:
            for _page in adapter.pages(table, Read()):
                continue

    def _open_adapter(self, listeners: Listeners, redactor: Redactor) -> RESTAdapter:
        settings = {
            key: value.replace("{url}", self._url) if isinstance(value, str) else value
            for key, value in self._case.auth.items()
        }
        auth = convert({"type": settings.pop("type"), "settings": settings}, Auth)
        spec = AdapterSpec("api", "api.yaml", self._url, tables=TABLES, auth=auth, check=CheckSpec("GET /me"))
        options = {name: Secret(value) for name, value in self._case.secrets.items()}
        adapter = RESTAdapter(spec, options, listeners=listeners, clock=NoWaitClock(), redactor=redactor)
        if self._case.name in GRANTS:
            user = BrowserUser()
            try:
                adapter.sign_in(user)
            finally:
                user.join()  # its last request may outlive the sign-in
        return adapter


class EndOfPages(Exception):
    """A read ended without an error."""


class PagesReader:
    """The task runner of the worker."""

    def __init__(self, use: AdapterUse, table: str) -> None:
        self._use = use
        self._table = table

    def prepare(self) -> None: ...

    def __call__(self, task: LoadTask, reporter: Reporter) -> TaskResult:
        self._use.read_pages(self._table, reporter)
        raise EndOfPages


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> AuthCase:
    return CASES[request.param]


@pytest.fixture
def server(case: AuthCase, api: FaultServer) -> FaultServer:
    """An API with the token endpoints of the case; its tables are served by each test."""
    case.add_routes(api, "")
    if case.name in GRANTS:
        OAuthServer(api, canary_secret(case.name))
    return api


class TestEveryResponse:
    def test_of_the_api_leaks_no_secret(self, case: AuthCase, server: FaultServer) -> None:
        leaks: dict[str, list[str]] = {}
        for name, response in ECHO_RESPONSES.items():
            server.serve("/items", echo(response))
            server.serve("/me", echo(response))
            use = AdapterUse(case, server.url)
            failed = [use.load_in_worker(table.name) for table in TABLES]
            assert failed[0], name
            assert use.check_in_shell() or name.startswith("200"), name
            leaks[name] = find_leaks(case, use.texts, server)
        assert {name: found for name, found in leaks.items() if found} == {}

    @pytest.mark.parametrize("endpoint", ["/token", "/login", "/device"])
    def test_of_the_token_endpoint_leaks_no_secret(
        self, case: AuthCase, server: FaultServer, endpoint: str
    ) -> None:
        if endpoint not in str(case.auth):
            pytest.skip("the method does not use this endpoint")
        server.serve("/items", MockResponse.json([]))
        leaks: dict[str, list[str]] = {}
        for name, response in ECHO_RESPONSES.items():
            server.serve(f"POST {endpoint}", echo(response))
            use = AdapterUse(case, server.url)
            assert use.load_in_worker("items"), name
            use.check_in_shell()
            leaks[name] = find_leaks(case, use.texts, server)
        assert {name: found for name, found in leaks.items() if found} == {}


def find_leaks(case: AuthCase, texts: Sequence[str], server: FaultServer) -> list[str]:
    """Return the names of the secrets in the texts: of the connection, issued, and sent."""
    secrets = [*case.secrets.items(), *(("issued", token) for token in case.issued_tokens)]
    secrets += [("sent", proof) for proof in _sent_proofs(server.requests)]
    whole = "\n".join(texts)
    return [name for name, value in secrets if any(form in whole for form in encoded_forms(value))]


def _sent_proofs(requests: Sequence[RecordedRequest]) -> Iterator[str]:
    """Yield the credentials of Authorization headers: a Base64 pair, a token, a signature."""
    for value in {request.headers.get("authorization", "") for request in requests}:
        proof = value.rpartition("Signature=")[2].rpartition(" ")[2]
        if proof:
            yield proof
