"""The shop's API: counts what is ordered, in Redis. It speaks Redis' protocol itself (https://redis.io/docs/latest/develop/reference/protocol-spec/)."""
import json
import os
import signal
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

host, _, port = os.environ.get("STORE", "redis:6379").rpartition(":")
REDIS = (host, int(port))


def redis(*words):
    """One command, one answer: an integer, a text or None."""
    request = f"*{len(words)}\r\n" + "".join(f"${len(word.encode())}\r\n{word}\r\n" for word in words)
    with socket.create_connection(REDIS, timeout=2) as connection:
        connection.sendall(request.encode())
        answer = connection.makefile("rb")
        kind, rest = (line := answer.readline().rstrip(b"\r\n").decode())[:1], line[1:]
        if kind == "-" or line == "":
            raise OSError(rest or "no answer")
        if kind == "$":
            return None if rest == "-1" else answer.read(int(rest)).decode()
        return int(rest) if kind == ":" else rest


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.answer(lambda: {"/healthz": self.health, "/api/orders": self.orders}.get(self.path))

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.answer(lambda: {"/api/orders": self.order}.get(self.path))

    def health(self):
        return {"redis": redis("PING")}

    def orders(self):
        return {"orders": int(redis("GET", "orders") or 0), "servedBy": socket.gethostname()}

    def order(self):
        return {"orders": redis("INCR", "orders"), "servedBy": socket.gethostname()}

    def answer(self, find):
        call = find()
        try:
            status, body = (404, {"error": f"nothing at {self.path}"}) if call is None else (200, call())
        except OSError as error:
            status, body = 503, {"error": f"redis at {REDIS[0]}:{REDIS[1]}: {error}"}
        data = (json.dumps(body) + "\n").encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, form, *values):
        sys.stderr.write(f"{self.address_string()} {form % values}\n")


server = ThreadingHTTPServer(("", 8080), Handler)
# What is under way is finished: threads are waited for.
server.daemon_threads = False
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
server.serve_forever()
server.server_close()
