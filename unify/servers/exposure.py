"""Which servers other machines may reach: only those with TLS and users."""

from __future__ import annotations

from unify.errors import UsageError
from unify.servers.addresses import ServerAddress
from unify.servers.users import UserStore


def check_exposure(
    address: ServerAddress,
    cert: str | None,
    key: str | None,
    users: UserStore,
    *,
    open_metrics: bool = False,
    option: str = "--http",
) -> None:
    """Refuse a server that other machines can reach without TLS and users. Raises UsageError.

    ``option``  that names the address.
    """
    if (cert is None) != (key is None):
        raise UsageError("--cert FILE and --key FILE are given together")
    if address.is_loopback:
        users.list_users()  # a file that cannot be read is reported now
        return
    missing = [] if cert else ["--cert FILE and --key FILE"]
    missing += [] if users.list_users() else ["a user (unify user add NAME)"]
    if missing:
        raise UsageError(
            f"{option} {address}: other machines can connect to this host; this needs "
            f"{' and '.join(missing)}. Without a host, only programs on this machine can connect"
        )
    if open_metrics:
        raise UsageError(f"--http {address}: --open-metrics is for loopback addresses only")
