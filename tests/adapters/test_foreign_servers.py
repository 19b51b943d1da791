"""Unify against third-party servers, which are started if their packages can be installed.

Each table is loaded by the real command line and daemon, and compared with what plain requests return.
"""

from __future__ import annotations

import base64
import json
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest
import requests
import yaml
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers
from cryptography.hazmat.primitives.hashes import SHA256

from tests.support.command import UnifyCommand
from tests.support.emulators import EMULATE, slack_spec_with_post
from tests.support.fault_server import FaultServer, MockResponse, RecordedRequest
from tests.support.foreign_servers import free_port, install_npm_program, install_python_program, run_server
from tests.support.oauth_server import write_browser_script
from tests.support.paths import CHECKOUT
from tests.support.terminal import run_on_terminal

SPECS = CHECKOUT / "rest_specs"
Row = dict[str, Any]

pytestmark = pytest.mark.timeout(900)  # the first run installs the packages


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "server"
    made.mkdir()
    return made


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as made:
        made.trust_env = False
        yield made


@pytest.fixture
def unify(shared_unify: UnifyCommand) -> UnifyCommand:
    return shared_unify


def connect(unify: UnifyCommand, spec: Row | str, **options: str) -> None:
    """Connect as ``there`` to a bundled spec by its name, or to a spec of the test."""
    name = spec if isinstance(spec, str) else spec["name"]
    if not isinstance(spec, str):
        specs = unify.home / "specs"
        specs.mkdir(exist_ok=True)
        (specs / f"{name}.yaml").write_text(yaml.safe_dump(spec, sort_keys=False), encoding="utf-8")
        unify.environment["UNIFY_SPECS"] = str(specs)
    unify.write_connections(yaml.safe_dump({"there": {"adapter": name, "options": options}}))


def loaded(unify: UnifyCommand, query: str) -> list[Row]:
    outcome = unify(query, args=["--format", "json"])
    assert outcome.exit_status == 0, outcome
    rows: list[Row] = json.loads(outcome.stdout)
    return rows


def reason(unify: UnifyCommand, table: str) -> str:
    return unify(
        f"select reason from unify.loads where \"table\" like '%{table}' order by job desc limit 1"
    ).single_value


class TestJSONServer:
    """npm's json-server: Link headers, numbered pages, filters by time."""

    posts: ClassVar = [
        {"id": number, "title": f"Post {number}", "day": f"2026-01-{number % 28 + 1:02}"}
        for number in range(1, 251)
    ]

    @pytest.fixture
    def url(self, folder: Path) -> Iterator[str]:
        (folder / "db.json").write_text(json.dumps({"posts": self.posts}))
        command = [install_npm_program("json-server@0.17.4"), "--port", str(free_port()), "db.json"]
        with run_server(command, folder) as url:
            yield url

    def test_every_style_of_paging_reads_every_row(
        self, unify: UnifyCommand, url: str, session: requests.Session
    ) -> None:
        ways: dict[str, Row] = {
            "found": {"params": {"_page": "1", "_limit": "40"}},
            "linked": {
                "paging": {"type": "link_header", "size_param": "_limit", "size": 40},
                "params": {"_page": "1"},
            },
            "numbered": {
                "paging": {"type": "page", "page_param": "_page", "size_param": "_limit", "size": 50}
            },
            "passed_over": {
                "paging": {"type": "offset", "offset_param": "_start", "size_param": "_limit", "size": 60}
            },
        }
        tables = [{"name": name, "request": "GET /posts", "key": "id", **keys} for name, keys in ways.items()]
        connect(unify, {"name": "blog", "base_url": url, "tables": tables})

        every = " union all ".join(f"select '{way}' as way, id, title from there.{way}" for way in ways)
        assert loaded(unify, f"{every} order by all") == [
            {"way": way, "id": post["id"], "title": post["title"]}
            for way in sorted(ways)
            for post in self.posts
        ]
        assert reason(unify, "found") == "detected paging: {type: link_header}"

        session.post(f"{url}/posts", json={"id": 900, "title": "Late", "day": "2026-02-01"}, timeout=30)
        counted = unify("refresh table there.found", "select count(*) as posts from there.found")
        assert counted.rows[-1] == ["251"], counted

    def test_a_refresh_requests_new_rows(
        self, unify: UnifyCommand, url: str, session: requests.Session
    ) -> None:
        table = {
            "name": "posts",
            "request": "GET /posts",
            "key": "id",
            "incremental": {"cursor": "day", "param": "day_gte", "format": "date"},
            "paging": {"type": "page", "page_param": "_page", "size_param": "_limit", "size": 100},
        }
        connect(unify, {"name": "blog", "base_url": url, "tables": [table]})
        assert unify("select count(*) from there.posts").single_value == "250"

        session.patch(f"{url}/posts/3", json={"title": "Changed", "day": "2026-03-01"}, timeout=30)
        session.post(f"{url}/posts", json={"id": 901, "title": "New", "day": "2026-03-02"}, timeout=30)
        assert unify("refresh table there.posts").exit_status == 0
        assert loaded(unify, "select title from there.posts where day >= '2026-03-01' order by day") == [
            {"title": "Changed"},
            {"title": "New"},
        ]
        found = loaded(unify, "select rows_total, rows_read from unify.loads order by job desc limit 1")
        assert found[0]["rows_total"] == 251
        assert found[0]["rows_read"] < 20


class TestDatasette:
    """PyPI's datasette: tokens of the next page, and its address."""

    @pytest.fixture
    def url(self, folder: Path) -> Iterator[str]:
        program = install_python_program("datasette==0.65.5", "datasette")
        birds = sqlite3.connect(folder / "birds.db")
        with birds:
            birds.execute("create table birds (id integer primary key, name text, grams real, latin text)")
            rows = [(number, f"Bird {number}", number / 4, None) for number in range(1, 351)]
            birds.executemany("insert into birds values (?, ?, ?, ?)", rows)
        birds.close()
        with run_server([program, "serve", "birds.db", "--host", "127.0.0.1", "--port", "0"], folder) as url:
            yield url

    def test_every_style_of_paging_reads_every_row(self, unify: UnifyCommand, url: str) -> None:
        ways: dict[str, Row] = {
            "found": {},
            "tokens": {"paging": {"type": "cursor", "cursor_path": "next", "cursor_param": "_next"}},
            "addresses": {"paging": {"type": "next_url", "path": "next_url"}},
        }
        common = {
            "request": "GET /birds/birds.json",
            "params": {"_shape": "objects"},
            "rows": "rows",
            "key": "id",
        }
        tables = [{"name": name, **common, **keys} for name, keys in ways.items()]
        connect(unify, {"name": "birds", "base_url": url, "tables": tables})

        counted = unify(
            " union all ".join(
                f"select count(distinct id), sum(grams), count(latin) from there.{way}" for way in ways
            )
        )
        assert counted.rows[1:] == [["350", "15356.25", "0"]] * 3, counted
        assert reason(unify, "found") == "detected paging: {type: link_header}"


class TestOAuth2MockServer:
    """npm's oauth2-mock-server: signed access tokens, which the test API verifies, and refresh tokens."""

    @pytest.fixture
    def url(self, folder: Path) -> Iterator[str]:
        program = install_npm_program("oauth2-mock-server@7.2.1")
        with run_server([program, "-p", str(free_port())], folder) as url:
            yield url

    @pytest.fixture
    def api(self, url: str, session: requests.Session) -> Iterator[FaultServer]:
        """Serve rows to requests with a token that the authorization server has signed."""
        [key] = session.get(f"{url}/jwks", timeout=30).json()["keys"]
        numbers = [int.from_bytes(decoded(key[part]), "big") for part in ("e", "n")]
        public = RSAPublicNumbers(*numbers).public_key()

        def things(request: RecordedRequest) -> MockResponse:
            token = request.headers.get("authorization", "").removeprefix("Bearer ")
            signed, _, signature = token.rpartition(".")
            try:
                public.verify(decoded(signature), signed.encode(), PKCS1v15(), SHA256())
            except InvalidSignature:
                return MockResponse.error(401, "not signed by us")
            return MockResponse.json([{"id": 1}, {"id": 2}])

        with FaultServer() as server:
            server.serve("/things", things)
            yield server

    @pytest.mark.parametrize("grant", ["client_credentials", "refresh_token"])
    def test_a_token_is_fetched_once_and_stored(
        self, unify: UnifyCommand, url: str, api: FaultServer, grant: str
    ) -> None:
        auth = {
            "type": "oauth2",
            "grant": grant,
            "token_url": f"{url}/token",
            "client_id": "unify",
            "client_secret": "{client_secret}",
            "scopes": ["read"],
        }
        if grant == "refresh_token":
            auth["refresh_token"] = "{refresh_token}"
        tables = [{"name": name, "request": "GET /things", "key": "id"} for name in ("some", "others")]
        secret = {"secret": True}
        connect(
            unify,
            {
                "name": "signed",
                "base_url": api.url,
                "options": {"client_secret": secret, "refresh_token": secret},
                "auth": auth,
                "paging": {"type": "none"},
                "tables": tables,
            },
            client_secret="canary-client",
            refresh_token="canary-refresh",
        )
        assert unify.run("check", "there").stdout == "there: ok\n"
        assert unify("select count(*) from there.some").single_value == "2"
        assert unify("select count(*) from there.others").single_value == "2"

        proofs = {request.headers["authorization"] for request in api.requests}
        assert len(api.requests) == 3
        assert len(proofs) == 1  # check and both loads, in three processes, used one token
        (kept,) = (unify.home / "tokens").glob("there-*.json")
        assert kept.stat().st_mode & 0o077 == 0
        assert "canary" not in kept.read_text()
        assert bool(json.loads(kept.read_text())["kept"]["refresh_token"]) == (grant == "refresh_token")

    def test_a_user_signs_in_with_the_browser(self, unify: UnifyCommand, url: str, api: FaultServer) -> None:
        auth = {
            "type": "oauth2",
            "grant": "authorization_code",
            "authorize_url": f"{url}/authorize",
            "token_url": f"{url}/token",
            "client_id": "unify",
            "scopes": ["read"],
        }
        table = {"name": "some", "request": "GET /things", "key": "id"}
        spec = {"name": "signed", "base_url": api.url, "auth": auth, "paging": {"type": "none"}}
        connect(unify, {**spec, "tables": [table]})
        unify.environment["BROWSER"] = write_browser_script(unify.home)
        command = [*unify.command, "check", "there"]
        with run_on_terminal(command, unify.environment, unify.home, columns=500) as terminal:
            assert terminal.wait_for_end() == 0, terminal.screen
            assert terminal.screen.endswith("there: ok")
        assert unify("select count(*) from there.some").single_value == "2"
        assert len({request.headers["authorization"] for request in api.requests}) == 1
        (kept,) = (unify.home / "tokens").glob("there-*.json")
        assert json.loads(kept.read_text())["kept"]["refresh_token"]


class TestMoto:
    """PyPI's moto, which verifies the AWS signatures of POST requests once it has users."""

    policy: ClassVar = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}],
    }

    @pytest.fixture
    def url(self, folder: Path) -> Iterator[str]:
        program = install_python_program("moto[server]==5.2.5", "moto_server")
        free = {"INITIAL_NO_AUTH_ACTION_COUNT": "5"}  # the five calls of ``keys``
        with run_server([program, "--host", "127.0.0.1", "--port", "0"], folder, free) as url:
            yield url

    @pytest.fixture
    def keys(self, url: str, session: requests.Session) -> dict[str, str]:
        def call(action: str, **fields: str) -> str:
            scope = "AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/iam/aws4_request"
            proof = f"{scope}, SignedHeaders=host, Signature=0"  # not verified before there are users
            form = {"Action": action, "Version": "2010-05-08", **fields}
            response = session.post(url, data=form, headers={"Authorization": proof}, timeout=60)
            assert response.ok, response.text
            return response.text

        for user in ("unify", "ann", "bob"):
            call("CreateUser", UserName=user)
        call("PutUserPolicy", UserName="unify", PolicyName="all", PolicyDocument=json.dumps(self.policy))
        given = call("CreateAccessKey", UserName="unify")
        found = {
            name: given.partition(f"<{name}>")[2].partition("<")[0]
            for name in ("AccessKeyId", "SecretAccessKey")
        }
        return {"access_key_id": found["AccessKeyId"], "secret_access_key": found["SecretAccessKey"]}

    def test_signed_requests_are_accepted_and_their_xml_is_parsed(
        self, unify: UnifyCommand, url: str, keys: dict[str, str]
    ) -> None:
        connect(unify, self.people(url), **keys)
        result = unify("select UserName from there.users order by 1")
        assert result.rows[1:] == [["ann"], ["bob"], ["unify"]], result

    def test_a_wrong_secret_is_refused(self, unify: UnifyCommand, url: str, keys: dict[str, str]) -> None:
        connect(unify, self.people(url), **{**keys, "secret_access_key": "wrong-canary"})
        result = unify("select * from there.users")
        assert result.exit_status == 1
        assert "403" in result.stderr
        assert "canary" not in result.stderr

    def test_the_bundled_costs_spec_is_read(
        self, unify: UnifyCommand, url: str, keys: dict[str, str], session: requests.Session
    ) -> None:
        today = datetime.now(UTC).date()
        days = [(today - timedelta(days=back)).isoformat() for back in (3, 2)]
        results = [
            {
                "TimePeriod": {"Start": day, "End": day},
                "Estimated": False,
                "Total": {},
                "Groups": [{"Keys": ["S3"], "Metrics": {"UnblendedCost": {"Amount": "1.25", "Unit": "USD"}}}],
            }
            for day in days
        ]
        costs = {
            "results": [{"ResultsByTime": results, "DimensionValueAttributes": [], "GroupDefinitions": []}]
        }
        session.post(
            f"{url}/moto-api/static/ce/cost-and-usage-results", json=costs, timeout=60
        ).raise_for_status()
        spec = yaml.safe_load((SPECS / "aws_costs.yaml").read_text(encoding="utf-8"))
        connect(unify, {**spec, "base_url": url}, **keys, start=days[0])

        found = loaded(unify, "select cast(day as varchar) as day from there.cost_by_service order by day")
        assert found == [{"day": day} for day in days]

    def people(self, url: str) -> Row:
        secret = {"secret": True, "required": True}
        users = {
            "name": "users",
            "request": "POST /",
            "form": {"Action": "ListUsers", "Version": "2010-05-08", "PathPrefix": "/"},
            "format": "xml",
            "rows": "ListUsersResult.Users.member",
            "key": "UserId",
            "paging": {
                "type": "cursor",
                "cursor_path": "ListUsersResult.Marker",
                "cursor_param": "Marker",
                "in": "body",
            },
        }
        return {
            "name": "people",
            "base_url": url,
            "options": {"access_key_id": secret, "secret_access_key": secret},
            "auth": {
                "type": "aws_sigv4",
                "access_key_id": "{access_key_id}",
                "secret_access_key": "{secret_access_key}",
                "region": "us-east-1",
                "service": "iam",
            },
            "tables": [users],
        }


class TestEmulatedStripe:
    """Stripe of npm's emulate, with the unchanged bundled spec."""

    token = "sk_test_emulated"

    @pytest.fixture
    def url(self, folder: Path) -> Iterator[str]:
        seed = {"tokens": {self.token: {"login": "mona", "scopes": []}}, "stripe": {"customers": []}}
        (folder / "seed.yaml").write_text(yaml.safe_dump(seed))
        command = [install_npm_program(EMULATE), "start", "--port", str(free_port()), "--service", "stripe"]
        with run_server([*command, "--seed", "seed.yaml"], folder) as url:
            yield url

    def test_every_customer_product_price_and_payment_is_loaded(
        self, unify: UnifyCommand, url: str, session: requests.Session
    ) -> None:
        session.headers["Authorization"] = f"Bearer {self.token}"

        def make(kind: str, **fields: str) -> str:
            response = session.post(f"{url}/v1/{kind}", data=fields, timeout=30)
            assert response.ok, response.text
            return str(response.json()["id"])

        for number in range(215):
            make("customers", email=f"{number}@a.example", name=f'Nº "{number}"')
        product = make("products", name="Seeds")
        for number in range(3):
            make("prices", product=product, currency="eur", unit_amount=str(100 * number + 5))
        for number in range(104):
            payment = make("payment_intents", amount=str(1000 + number), currency="eur")
            if number % 2:
                make(f"payment_intents/{payment}/confirm", payment_method="pm_card_visa")
        connect(unify, "stripe", api_key=self.token, base_url=url)

        tables = ("charges", "customers", "payment_intents", "prices", "products")
        expected = {table: self.fetch_rows(session, f"{url}/v1/{table}") for table in tables}
        every = " union all ".join(
            f"select '{table}' as kind, id, epoch(created) as created from there.{table}" for table in tables
        )
        assert loaded(unify, f"{every} order by kind, id") == [
            {"kind": table, "id": row["id"], "created": row["created"]}
            for table in tables
            for row in sorted(expected[table], key=lambda row: str(row["id"]))
        ]
        assert len(expected["customers"]) > 200
        assert len(expected["payment_intents"]) > 100
        assert all(expected.values())

    def fetch_rows(self, session: requests.Session, address: str) -> list[Row]:
        rows: list[Row] = []
        while True:
            after = {"starting_after": rows[-1]["id"]} if rows else {}
            page = session.get(address, params={"limit": "100", **after}, timeout=30).json()
            rows += page["data"]
            if not page["has_more"]:
                return rows


class TestEmulatedSlack:
    """Slack of npm's emulate, which accepts only POST, with the bundled spec changed to POST."""

    token = "xoxb-emulated"

    @pytest.fixture
    def url(self, folder: Path) -> Iterator[str]:
        people = [{"name": f"person{number}", "real_name": f"Person {number}"} for number in range(8)]
        seed = {
            "tokens": {self.token: {"login": "mona", "scopes": []}},
            "slack": {"team": {"name": "Nest", "domain": "nest"}, "users": people},
        }
        (folder / "seed.yaml").write_text(yaml.safe_dump(seed))
        command = [install_npm_program(EMULATE), "start", "--port", str(free_port()), "--service", "slack"]
        with run_server([*command, "--seed", "seed.yaml"], folder) as url:
            yield url

    def test_every_channel_user_and_message_is_loaded(
        self, unify: UnifyCommand, url: str, session: requests.Session
    ) -> None:
        session.headers["Authorization"] = f"Bearer {self.token}"

        def call(method: str, **fields: str) -> Row:
            response = session.post(f"{url}/api/{method}", data=fields, timeout=30).json()
            assert response["ok"], response
            return dict(response)

        channels = {
            name: call("conversations.create", name=name)["channel"]["id"] for name in ("nest", "lake")
        }
        messages = [(channels["nest"], f"message {number} <&> ünï") for number in range(23)]
        for channel, text in [*messages, (channels["lake"], "quack")]:
            call("chat.postMessage", channel=channel, text=text)
        connect(
            unify,
            slack_spec_with_post("channels", "messages", "users"),
            token=self.token,
            base_url=f"{url}/api",
        )

        names = {row["name"] for row in loaded(unify, "select name from there.channels")}
        assert (
            names
            == {channel["name"] for channel in call("conversations.list")["channels"]}
            >= {"nest", "lake"}
        )
        people = loaded(unify, "select id from there.users order by id")
        assert [row["id"] for row in people] == sorted(
            person["id"] for person in call("users.list")["members"]
        )
        found = loaded(unify, "select channel, ts from there.messages order by all")
        expected = [
            {"channel": channel, "ts": message["ts"]}
            for channel in channels.values()
            for message in call("conversations.history", channel=channel, limit="100")["messages"]
        ]
        assert [row for row in found if row["channel"] in channels.values()] == sorted(
            expected, key=lambda row: (row["channel"], row["ts"])
        )
        assert len(expected) >= 24


def decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
