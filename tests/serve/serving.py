"""A moe-serve to be asked: starts it, sends requests, checks answers. Standard library only."""

import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

failures = []
PATIENCE = 300 if os.environ.get("MOE_TEST_SANITIZED") else 30  # seconds for an answer


def check(condition, what):
    """Notes a failure and goes on: one run shows all of them."""
    if not condition:
        failures.append(what)
        print("FAILED:", what, flush=True)


def finish():
    print("failures:", len(failures))
    sys.exit(1 if failures else 0)


class Server:
    """moe-serve in a process of its own, on any free port."""

    def __init__(self, program, model, *options, threads="1", patience=PATIENCE):
        self.patience = patience
        self.process = subprocess.Popen(
            [program, "--model", model, "--alias", "nano", "--port", "0", "--threads", threads, *options],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        found = re.search(r"http://\S+:(\d+)", line)
        if found is None:
            raise SystemExit(f"moe-serve did not start: {line!r} {self.process.stderr.read()}")
        self.line, self.port = line, int(found.group(1))
        self.log = []
        self.reader = threading.Thread(target=lambda: self.log.extend(self.process.stderr), daemon=True)
        self.reader.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        """Its exit status after SIGTERM."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            status = self.process.wait(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = self.process.wait()
        self.reader.join(timeout=5)
        said = "".join(self.log)
        check("Sanitizer" not in said, said)
        return status

    def connect(self, timeout=10, receive_buffer=None):
        client = socket.socket()
        if receive_buffer:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        client.settimeout(timeout)
        client.connect(("127.0.0.1", self.port))
        return client

    def raw(self, data, timeout=10):
        """Everything that comes back until the server closes, or for as long as nothing more does."""
        with self.connect(timeout) as client:
            try:
                client.sendall(data)
            except OSError:
                pass
            return receive_all(client)

    def call(self, path, body=None, headers=None, method=None):
        """(status, headers, text) of a request."""
        data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data=data, method=method)
        if data is not None:
            request.add_header("Content-Type", "application/json")
        for name, value in (headers or {}).items():
            request.add_header(name, value)
        try:
            with urllib.request.urlopen(request, timeout=self.patience) as answer:
                return answer.status, answer.headers, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read().decode()

    def json(self, path, body=None, **more):
        status, _, text = self.call(path, body, **more)
        return status, json.loads(text)

    def events(self, path, body, **more):
        """The events of a stream, without [DONE]; its absence is a failure."""
        status, headers, text = self.call(path, {**body, "stream": True}, **more)
        check(status == 200, f"stream {path}: {status} {text}")
        check(headers["Content-Type"] == "text/event-stream; charset=utf-8", "type of a stream")
        lines = [line for line in text.split("\n\n") if line and not line.startswith(":")]
        check(lines and lines[-1] == "data: [DONE]", f"a stream ends with [DONE]: {lines[-1:]}")
        return [json.loads(line[len("data: "):]) for line in lines[:-1]]


def receive_all(client):
    data = b""
    while True:
        try:
            part = client.recv(65536)
        except (TimeoutError, ConnectionError):
            return data
        if not part:
            return data
        data += part


def status_of(answer):
    """The status of a raw answer; 0 when there is none."""
    found = re.match(rb"HTTP/1\.1 (\d{3}) ", answer)
    return int(found.group(1)) if found else 0


def settled(value, seconds=5):
    """What `value` comes to when it is above zero and stays so for a while; at the end of the time, what it is."""
    end = time.monotonic() + seconds
    before, since = value(), time.monotonic()
    while time.monotonic() < end and (before <= 0 or time.monotonic() - since < 0.3):
        time.sleep(0.02)
        if (now := value()) != before:
            before, since = now, time.monotonic()
    return before


def wait_until(condition, seconds=5):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return False
