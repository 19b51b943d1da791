"""The adapters of folders and object stores, with their options."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

from unify.adapters.files.adapter import FileAdapter
from unify.adapters.files.folder import FolderStore
from unify.adapters.files.object_store import ObjectStore, ScanAccess
from unify.adapters.files.paths import check_path, has_magic
from unify.adapters.files.store import FileStore
from unify.adapters.options import ListOption, PathOption, split_list
from unify.adapters.spec.elements import Option
from unify.config.secrets import Secret
from unify.errors import ConfigError

_PREFIX = Option("prefix", "Start of the paths, such as daily/; nothing outside of it is read", default="")
_ENDPOINT = Option("endpoint", "Address of another server of this kind, such as https://minio.example.org")
_ANONYMOUS = Option("anonymous", "true: no credentials, for public buckets")
_NO_PROXY = "http://127.0.0.1:9"  # never used: an explicit proxy keeps obstore from that of the environment
_PROXY = Option("proxy", "URL of an HTTP proxy; that of the environment is never used", secret=True)
_TIMEOUTS = {"connect_timeout": "10s", "timeout": "10 minutes"}


class LocalFilesAdapter(FileAdapter):
    """Adapter ``files``: a folder of this machine."""

    label: ClassVar[str] = "a folder"
    takes: ClassVar[tuple[Option, ...]] = (
        PathOption("folder", "The folder; nothing outside of it is read", required=True),
    )

    def open_store(self) -> FileStore:
        return FolderStore(Path(os.path.expanduser(_text(self.options, "folder"))))


class BucketAdapter(FileAdapter):
    """What the adapters of object stores share."""

    def _prefix(self) -> str:
        prefix = _text(self.options, "prefix")
        if prefix.startswith("/") or ".." in prefix.split("/"):
            raise ConfigError(f"{self.connection}.options.prefix: {prefix!r} is not the start of a path")
        return f"{prefix.rstrip('/')}/" if prefix else ""

    def _is_anonymous(self, *credentials: str) -> bool:
        """Raises ConfigError without credentials: obstore would look for some of its own."""
        if _text(self.options, "anonymous").lower() == "true":
            return True
        if not all(self.options.get(name) is not None for name in credentials):
            verb = "is" if len(credentials) == 1 else "are"
            raise ConfigError(
                f"{self.connection}.options: {' and '.join(credentials)} {verb} missing; "
                "for a public bucket write anonymous: true"
            )
        return False

    def _client(self, host: str) -> dict[str, Any]:
        """Options of obstore's HTTP client."""
        endpoint = _text(self.options, "endpoint")
        own, proxy = urlsplit(endpoint).hostname or host, _text(self.options, "proxy")
        return {
            **_TIMEOUTS,
            "allow_http": endpoint.startswith("http://"),
            **({"proxy_url": proxy} if proxy else {"proxy_url": _NO_PROXY, "proxy_excludes": own}),
        }

    def _endpoint(self) -> str | None:
        endpoint = _text(self.options, "endpoint").rstrip("/")
        if endpoint and urlsplit(endpoint).scheme not in ("http", "https"):
            raise ConfigError(f"{self.connection}.options.endpoint: write an address: https://HOST[:PORT]")
        return endpoint or None


class S3Adapter(BucketAdapter):
    """Adapter ``s3``: Amazon S3, and servers that speak its protocol."""

    label: ClassVar[str] = "S3"
    extra: ClassVar[str] = "s3"
    requires: ClassVar[tuple[str, ...]] = ("obstore", "duckdb_extension_httpfs")
    takes: ClassVar[tuple[Option, ...]] = (
        Option("bucket", "Name of the bucket", required=True),
        _PREFIX,
        Option("region", "Region of the bucket", default="us-east-1"),
        _ENDPOINT,
        Option("access_key_id", "Access key"),
        Option("secret_access_key", "Secret of the access key", secret=True),
        Option("session_token", "Token of temporary credentials", secret=True),
        _ANONYMOUS,
        _PROXY,
        Option("url_style", "path: the bucket in the path; vhost: in the host name (Amazon's default)"),
    )

    def open_store(self) -> FileStore:
        bucket, prefix, endpoint = _text(self.options, "bucket"), self._prefix(), self._endpoint()
        anonymous = self._is_anonymous("access_key_id", "secret_access_key")
        style = _text(self.options, "url_style") or ("path" if endpoint else "vhost")
        if style not in ("path", "vhost"):
            raise ConfigError(f"{self.connection}.options.url_style: {style!r} is neither path nor vhost")
        config: dict[str, Any] = {
            "region": _text(self.options, "region"),
            "skip_signature": anonymous,
            "virtual_hosted_style_request": style == "vhost",
        }
        if endpoint:
            config["endpoint"] = endpoint
        keys = {name: _text(self.options, name) for name in _S3_KEYS}
        return ObjectStore(
            self.connection,
            f"s3://{bucket}/{prefix}",
            prefix,
            open=partial(
                _open_s3, bucket, config, None if anonymous else keys, self._client(".amazonaws.com")
            ),
            secrets=self.secrets(),
            scan=None if _text(self.options, "proxy") else self._scan_access(endpoint, style, anonymous),
            identity="" if anonymous else f"access key {keys['access_key_id']}",
        )

    def _scan_access(self, endpoint: str | None, style: str, anonymous: bool) -> ScanAccess:
        address = urlsplit(endpoint or "")
        secret = {
            "TYPE": "s3",
            "REGION": _text(self.options, "region"),
            "ENDPOINT": address.netloc or None,
            "USE_SSL": address.scheme != "http",
            "URL_STYLE": style,
        }
        if not anonymous:
            secret |= {
                "KEY_ID": _text(self.options, "access_key_id"),
                "SECRET": _text(self.options, "secret_access_key"),
                "SESSION_TOKEN": _text(self.options, "session_token") or None,
            }
        return ScanAccess("s3://", secret, "httpfs", "s3")


class GCSAdapter(BucketAdapter):
    """Adapter ``gcs``: Google Cloud Storage. DuckDB reads copies: its reader takes other credentials."""

    label: ClassVar[str] = "Google Cloud Storage"
    extra: ClassVar[str] = "gcs"
    requires: ClassVar[tuple[str, ...]] = ("obstore",)
    takes: ClassVar[tuple[Option, ...]] = (
        Option("bucket", "Name of the bucket", required=True),
        _PREFIX,
        Option("service_account_key", "Key of a service account: the JSON text of its file", secret=True),
        _ENDPOINT,
        _ANONYMOUS,
        _PROXY,
    )

    def open_store(self) -> FileStore:
        bucket, prefix, endpoint = _text(self.options, "bucket"), self._prefix(), self._endpoint()
        anonymous = self._is_anonymous("service_account_key")
        config: dict[str, Any] = {"skip_signature": anonymous}
        if endpoint:
            config["base_url"] = endpoint
        if not anonymous:
            config["service_account_key"] = _text(self.options, "service_account_key")
        return ObjectStore(
            self.connection,
            f"gs://{bucket}/{prefix}",
            prefix,
            open=partial(_open_gcs, bucket, config, self._client(".googleapis.com")),
            secrets=self.secrets(),
            identity="" if anonymous else "a service account",
        )


class AzureAdapter(BucketAdapter):
    """Adapter ``azure``: a container of Azure Blob Storage."""

    label: ClassVar[str] = "Azure Blob Storage"
    extra: ClassVar[str] = "azure"
    requires: ClassVar[tuple[str, ...]] = ("obstore", "duckdb_extension_azure")
    takes: ClassVar[tuple[Option, ...]] = (
        Option("account", "Name of the storage account", required=True),
        Option("container", "Name of the container", required=True),
        _PREFIX,
        Option("account_key", "Key of the storage account", secret=True),
        _ENDPOINT,
        _ANONYMOUS,
        _PROXY,
    )

    def open_store(self) -> FileStore:
        account, container = _text(self.options, "account"), _text(self.options, "container")
        prefix, anonymous = self._prefix(), self._is_anonymous("account_key")
        endpoint = self._endpoint() or f"https://{account}.blob.core.windows.net"
        config: dict[str, Any] = {
            "account_name": account,
            "endpoint": endpoint,
            "skip_signature": anonymous,
        }
        key = _text(self.options, "account_key")
        if not anonymous:
            config["account_key"] = key
        scan = ScanAccess(
            "azure://",
            {"TYPE": "azure", "CONNECTION_STRING": _azure_connection_string(account, key, endpoint)},
            "azure",
            "azure",
        )
        return ObjectStore(
            self.connection,
            f"azure://{container}/{prefix}",
            prefix,
            open=partial(_open_azure, container, config, self._client(".windows.net")),
            secrets=self.secrets(),
            scan=None if anonymous or _text(self.options, "proxy") else scan,
            identity="" if anonymous else f"account {account}",
        )


class WebDAVAdapter(FileAdapter):
    """Adapter ``webdav``: a folder of a WebDAV server, such as Nextcloud."""

    label: ClassVar[str] = "WebDAV"
    extra: ClassVar[str] = "webdav"
    requires: ClassVar[tuple[str, ...]] = ("webdav4",)
    takes: ClassVar[tuple[Option, ...]] = (
        Option("url", "Address of the folder", required=True),
        Option("user", "User name"),
        Option("password", "Password", secret=True),
    )

    def open_store(self) -> FileStore:
        from unify.adapters.files.webdav import WebDAVStore

        user = _text(self.options, "user")
        credentials = (user, _text(self.options, "password")) if user else None
        return WebDAVStore(_web_address(self), credentials)


class SFTPAdapter(FileAdapter):
    """Adapter ``sftp``: a folder of an SFTP server."""

    label: ClassVar[str] = "SFTP"
    extra: ClassVar[str] = "sftp"
    requires: ClassVar[tuple[str, ...]] = ("paramiko",)
    takes: ClassVar[tuple[Option, ...]] = (
        Option("host", "Host name", required=True),
        Option("port", "Port", default="22"),
        Option("user", "User name", required=True),
        Option("password", "Password", secret=True),
        PathOption("key_file", "Private key instead of a password"),
        Option("passphrase", "Passphrase of the private key", secret=True),
        Option("folder", "Folder; nothing outside of it is read", default="."),
        Option("host_key", "Key of the server: TYPE BASE64, as ssh-keyscan prints it"),
        PathOption("known_hosts", "File with keys of servers, instead of ~/.ssh/known_hosts"),
    )

    def open_store(self) -> FileStore:
        from unify.adapters.files.sftp import SFTPAccount, SFTPStore

        port = _text(self.options, "port")
        if not port.isdecimal():
            raise ConfigError(f"{self.connection}.options.port: {port!r} is not a port")
        names = ("host", "user", "password", "key_file", "passphrase", "host_key", "known_hosts")
        values = {name: _text(self.options, name) for name in names}
        return SFTPStore(SFTPAccount(port=int(port), **values), _text(self.options, "folder"))


class WebAdapter(FileAdapter):
    """Adapter ``http``: files of a web server, which are named in the connection."""

    label: ClassVar[str] = "HTTP"
    takes: ClassVar[tuple[Option, ...]] = (
        Option("url", "Address below which the files are", required=True),
        ListOption("paths", "Paths of the files, for show files and patterns"),
        Option("user", "User name"),
        Option("password", "Password", secret=True),
        Option("token", "Bearer token, instead of user and password", secret=True),
    )

    def open_store(self) -> FileStore:
        from requests.auth import HTTPBasicAuth

        from unify.adapters.files.web import BearerAuth, WebStore

        url = _web_address(self)
        user, token = _text(self.options, "user"), _text(self.options, "token")
        auth: BearerAuth | HTTPBasicAuth | None = None
        if token:
            auth = BearerAuth(token)
        elif user:
            auth = HTTPBasicAuth(user.encode(), _text(self.options, "password").encode())
        paths = [check_path(path, url) for path in split_list(_text(self.options, "paths"))]
        named = [one.files for one in self.tables.values() if one.files and not has_magic(one.files)]
        return WebStore(url, list(dict.fromkeys([*paths, *named])), auth)


_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def _web_address(adapter: FileAdapter) -> str:
    """Return the option ``url``. Raises ConfigError for another scheme and for secrets without encryption."""
    url = _text(adapter.options, "url")
    parts = urlsplit(url)
    where = f"{adapter.connection}.options.url"
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
        raise ConfigError(f"{where}: write an address without user and password: https://HOST/FOLDER")
    if parts.scheme == "http" and adapter.secrets() and parts.hostname not in _LOOPBACK:
        raise ConfigError(f"{where}: credentials are not sent over http to another machine; use https")
    return url


_S3_KEYS = ("access_key_id", "secret_access_key", "session_token")


def _open_s3(
    bucket: str, config: dict[str, Any], keys: Mapping[str, str] | None, client: dict[str, Any]
) -> Any:
    from obstore.store import S3Store

    if keys is None:
        return S3Store(bucket, config=_typed(config), client_options=_typed(client))
    credentials = {
        "access_key_id": keys["access_key_id"],
        "secret_access_key": keys["secret_access_key"],
        "token": keys["session_token"] or None,
        "expires_at": None,
    }
    # a provider, because a session token of the environment would be sent beside keys
    return S3Store(
        bucket,
        config=_typed(config),
        client_options=_typed(client),
        credential_provider=_typed(lambda: credentials),
    )


def _open_gcs(bucket: str, config: dict[str, Any], client: dict[str, Any]) -> Any:
    from obstore.store import GCSStore

    return GCSStore(bucket, config=_typed(config), client_options=_typed(client))


def _open_azure(container: str, config: dict[str, Any], client: dict[str, Any]) -> Any:
    from obstore.store import AzureStore

    return AzureStore(container, config=_typed(config), client_options=_typed(client))


def _typed(value: Any) -> Any:
    """obstore's own types exist for type checkers only."""
    return value


def _azure_connection_string(account: str, key: str, endpoint: str) -> str:
    scheme = urlsplit(endpoint).scheme
    return f"DefaultEndpointsProtocol={scheme};AccountName={account};AccountKey={key};BlobEndpoint={endpoint}"


def _text(options: Mapping[str, str | Secret | None], name: str) -> str:
    value = options.get(name)
    return value.reveal() if isinstance(value, Secret) else value or ""
