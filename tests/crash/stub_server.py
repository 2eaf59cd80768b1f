"""A chat server in a process of its own whose answers depend on the question alone."""

from __future__ import annotations

import hashlib
import json
import math
import multiprocessing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that was killed is no news."""


class StubServer:
    """Speaks enough of OpenAI's protocol for direct answers; a context manager."""

    def __enter__(self) -> StubServer:
        context = multiprocessing.get_context("fork")
        self._count = context.Value("L", 0)
        listener = _Listener(("127.0.0.1", 0), _handler(self._count))
        self.url = f"http://127.0.0.1:{listener.server_port}/v1"
        self._process = context.Process(target=listener.serve_forever, daemon=True)
        self._process.start()
        listener.socket.close()  # the process has it
        return self

    def __exit__(self, *exception: object) -> None:
        self._process.kill()
        self._process.join()

    def answered(self) -> int:
        """How many questions so far."""
        return int(self._count.value)


def _completion(body: dict[str, Any]) -> dict[str, Any]:
    digest = hashlib.sha256(json.dumps(body["messages"]).encode()).digest()
    shares = [1 + byte for byte in digest[:3]]
    candidates = [
        {"token": token, "logprob": math.log(share / sum(shares)), "bytes": None}
        for token, share in zip(("1", "2", "None"), shares)
    ]
    choice = {
        "index": 0,
        "finish_reason": "length",
        "message": {"role": "assistant", "content": "1"},
        "logprobs": {"content": [candidates[0] | {"top_logprobs": candidates}], "refusal": None},
    }
    usage = {"prompt_tokens": 100, "completion_tokens": 1, "total_tokens": 101}
    head = {"id": "1", "object": "chat.completion", "created": 0, "model": "stub"}
    return {**head, "choices": [choice], "usage": usage}


def _handler(count: Any) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def _send(self, content: dict[str, Any]) -> None:
            raw = json.dumps(content).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def do_GET(self) -> None:
            model = {"id": "stub", "object": "model", "created": 0, "owned_by": "us"}
            self._send({"object": "list", "data": [model | {"max_model_len": 4096}]})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with count.get_lock():
                count.value += 1
            self._send(_completion(body))

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    return Handler
