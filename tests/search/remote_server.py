"""A real HTTP server on this machine that plays a remote service, from a list of prepared replies."""

import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit


@dataclass
class Asked:
    """A request as it came in."""

    method: str
    path: str
    query: dict
    headers: dict
    body: bytes

    def json(self):
        return json.loads(self.body)


@dataclass
class Reply:
    """What to send: JSON unless it is bytes. The connection is cut after `cut` bytes if that is set."""

    content: object = field(default_factory=dict)
    status: int = 200
    headers: dict = field(default_factory=dict)
    cut: int | None = None
    wait: threading.Event | None = None


@contextmanager
def remote(respond, tls=None, keep_alive=False):
    """Serve; `respond` makes a Reply of an Asked. Yields the address and the list of what was asked."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1" if keep_alive else "HTTP/1.0"

        def do_GET(self):
            split = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Asked(self.command, split.path, dict(parse_qsl(split.query)), headers, body)
            asked.append(request)
            reply = respond(request)
            if reply.wait is not None:
                reply.wait.wait(60)
            is_bytes = isinstance(reply.content, bytes)
            content = reply.content if is_bytes else json.dumps(reply.content).encode()
            self.send_response(reply.status)
            self.send_header("content-length", str(len(content)))
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.end_headers()
            try:
                self.wfile.write(content[: reply.cut])
            except OSError:
                return  # the client had enough

        do_POST = do_GET

        def log_message(self, *args):
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.handle_error = lambda request, address: None  # a client that hangs up is no news
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"{'http' if tls is None else 'https'}://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
