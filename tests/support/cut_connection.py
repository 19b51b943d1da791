"""A TCP proxy on loopback that cuts a connection at a certain message, before or after passing it on."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field


@dataclass
class CuttingProxy:
    """Passes bytes to a server until a client sends ``mark``; then, once, both sides are closed.

    ``after``      only on a connection that has sent these bytes before.
    ``passes_on``  whether the server receives the mark. ``was_cut``: it has happened.
    """

    target_port: int
    mark: bytes
    after: bytes
    passes_on: bool
    was_cut: threading.Event = field(default_factory=threading.Event)
    port: int = 0

    def serve(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.target_port))
            for source, target, is_client in ((client, server, True), (server, client, False)):
                threading.Thread(target=self._pump, args=(source, target, is_client), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, is_client: bool) -> None:
        is_due = False
        with suppress(OSError):
            while data := source.recv(65536):
                is_due = is_due or (is_client and self.after in data)
                if is_due and self.mark in data and not self.was_cut.is_set():
                    self.was_cut.set()
                    source.shutdown(socket.SHUT_RDWR)  # the answer finds nobody
                    if self.passes_on:
                        target.sendall(data)
                        target.recv(65536)
                    break
                target.sendall(data)
        for one in (source, target):
            with suppress(OSError):
                one.close()


@contextmanager
def cutting_proxy(target_port: int, mark: bytes, *, after: bytes, passes_on: bool) -> Iterator[CuttingProxy]:
    """Run a proxy."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        proxy = CuttingProxy(target_port, mark, after, passes_on, port=listener.getsockname()[1])
        thread = threading.Thread(target=proxy.serve, args=(listener,), daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
