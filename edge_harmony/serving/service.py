"""The service in a thread of this process."""

from __future__ import annotations

import logging
import threading
from typing import Any

from edge_harmony.extras import check_installed
from edge_harmony.web.listen import listen

_KEEP_ALIVE_SECONDS = 5
_FORMS = "python_multipart"
"""The logger of the parser of forms."""


def require_server() -> None:
    """Refuse to go on without the packages of the service.

    Raises:
        CapabilityError: one is missing.
    """
    check_installed("the service needs FastAPI, uvicorn and python-multipart", "fastapi", "uvicorn", "python_multipart")


class Service:
    """A service that answers until it is closed.

    Args:
        application: of :func:`edge_harmony.serving.app.make_app`.
        host: address to listen on.
        port: port to listen on; 0: any that is free.
        ending_seconds: in which requests may end after :meth:`close`.
        limits: of connections: arguments of :func:`edge_harmony.serving.connections.protocol`.

    Raises:
        UsageError: the port is taken, or the address is not one of this machine.
    """

    def __init__(self, application: Any, host: str, port: int, ending_seconds: float = 30.0, **limits: Any) -> None:
        import uvicorn

        from edge_harmony.serving.connections import protocol

        logging.getLogger(_FORMS).setLevel(logging.ERROR)  # strangers hear what is wrong; here they would fill the log
        self._socket = listen(host, port)
        address, self.port = self._socket.getsockname()[:2]
        self.url = f"http://[{address}]:{self.port}" if ":" in address else f"http://{address}:{self.port}"
        config = uvicorn.Config(
            application,
            http=protocol(**limits),
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="error",
            access_log=False,
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=int(ending_seconds),
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), name="edge-harmony-http")
        self._thread.start()

    @property
    def is_running(self) -> bool:
        """Whether requests are answered."""
        return self._thread.is_alive()

    def close(self) -> None:
        """Take no more requests, and wait for those that are being worked on."""
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()
