"""A server on loopback that speaks enough of OpenAI's protocol, well or badly."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from scripted_chat import captions_of, prefer, reasoned

Fault = Callable[[int], tuple[int, str] | None]  # number of the request → status and body


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is no news."""


class FakeServer:
    """Answers chat completions; ``fault`` may answer something else instead."""

    def __init__(self, model: str = "tiny", port: int = 0) -> None:
        self.model = model
        self.fault: Fault = lambda number: None
        self.by_body: Callable[[dict[str, Any]], tuple[int, str] | None] = lambda body: None
        self.models_body: str | None = None  # instead of the list of models
        self.models_status = 200
        self.paths: list[str] = []
        self.max_model_len: int | None = 4096
        self.delay = 0.0  # seconds
        self.continues = True  # whether it goes on from a prefilled answer
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.at_once = self.most_at_once = 0
        self._lock = threading.Lock()
        self._http = _Listener(("127.0.0.1", port), self._handler())
        self.port = self._http.server_port
        self.url = f"http://127.0.0.1:{self.port}/v1"
        self._thread = threading.Thread(target=self._http.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()

    def models(self) -> str:
        entry: dict[str, Any] = {
            "id": self.model,
            "object": "model",
            "created": 0,
            "owned_by": "test",
        }
        entry |= {"max_model_len": self.max_model_len}
        return json.dumps({"object": "list", "data": [entry]})

    def complete(self, body: dict[str, Any]) -> tuple[int, str]:
        with self._lock:
            self.bodies.append(body)
            number = len(self.bodies) - 1
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        time.sleep(self.delay)
        with self._lock:
            self.at_once -= 1
        return self.fault(number) or self.by_body(body) or (200, json.dumps(self.completion(body)))

    def completion(self, body: dict[str, Any]) -> dict[str, Any]:
        users = [turn["content"] for turn in body["messages"] if turn["role"] == "user"]
        first, second = captions_of(users[0])
        choice: dict[str, Any] = {"index": 0, "finish_reason": "stop"}
        text = reasoned(first, second)
        if body.get("logprobs"):
            text = prefer(first, second) if self.continues else "Well"
            top = [{"token": text, "logprob": -0.01, "bytes": None}]
            choice["logprobs"] = {"content": [top[0] | {"top_logprobs": top}], "refusal": None}
        choice["message"] = {"role": "assistant", "content": text}
        return {
            "id": "1",
            "object": "chat.completion",
            "created": 0,
            "model": self.model,
            "choices": [choice],
            "usage": {"prompt_tokens": 100, "completion_tokens": 7, "total_tokens": 107},
        }

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # else each reply waits 40 ms

            def send(self, status: int, text: str) -> None:
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text.encode())))
                self.end_headers()
                self.wfile.write(text.encode())

            def do_GET(self) -> None:
                server.headers.append({k.lower(): v for k, v in self.headers.items()})
                server.paths.append(self.path)
                self.send(server.models_status, server.models_body or server.models())

            def do_POST(self) -> None:
                server.paths.append(self.path)
                length = int(self.headers["Content-Length"])
                self.send(*server.complete(json.loads(self.rfile.read(length))))

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        return Handler
