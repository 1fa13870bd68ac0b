#!/usr/bin/env python3
"""soak.py MOE_SERVE ROOT [--seconds N] [--strict]: one honest client beside floods and clients that dawdle.

hey and wrk ask for as many replies as they get, hey also for a token each and for /health; slowhttptest holds 500
connections with heads and bodies that never end, and asks for ranges. Each has N seconds (60), in two rounds. Meanwhile one
client reads streams, whose every byte must be that of a stream alone, another asks /health, and a third watches the memory:
the second round must not leave more of it than the first. Tools that are not installed (Debian: hey, wrk, slowhttptest) are
named and left out.

The honest client has an API key of its own, the others share one: with --max-step-ms T the server's steps take T beside
them, and the honest stream has a token in each. What depends on the machine is reported; on a quiet one --strict asks that
/health is answered within 50 ms, always, and that a stream beside clients that dawdle takes less than twice its time alone.
"""

import argparse
import http.client
import json
import os
import re
import shutil
import statistics
import subprocess
import tempfile
import threading
import time

from serving import Server, check, failures, finish, wait_until

HONEST = {"prompt": "Question: In which month was Verta Palthus born?\nAnswer:", "max_tokens": 200, "temperature": 1,
          "seed": 5, "ignore_eos": True, "logprobs": 1}
HONEST_KEY, FLOOD_KEY = "honest", "flood"
FLOOD = {"prompt": "In which month", "max_tokens": 12, "temperature": 0}
# Prompts that differ and replies that differ, from wrk's own language.
WRK = """local number = 0
request = function()
  number = number + 1
  local body = string.format('{"prompt": "Note %%d: In which month", "max_tokens": %%d, "seed": %%d}', number %% 997,
                             1 + number %% 24, number)
  local headers = {["Content-Type"] = "application/json", ["Authorization"] = "Bearer flood"}
  return wrk.format("POST", "/v1/completions", headers, body)
end
""".replace("%%", "%")
HELD = 500  # connections of slowhttptest
ROUNDS = 2
GROWTH = 4 << 20  # bytes that a round may leave: of allocators, not of requests


def bearer(key):
    return {"Authorization": f"Bearer {key}"}


def resident_bytes(process):
    with open(f"/proc/{process.pid}/status", encoding="ascii") as status:
        return int(re.search(r"VmRSS:\s+(\d+) kB", status.read()).group(1)) << 10


class Reply:
    """A stream: what must never differ, and when its events came."""

    def __init__(self, server):
        client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        began = time.monotonic()
        client.request("POST", "/v1/completions", json.dumps({**HONEST, "stream": True}),
                       {"Content-Type": "application/json", **bearer(HONEST_KEY)})
        answer = client.getresponse()
        lines, at = [], []
        for line in answer:
            if line.startswith(b"data: "):
                lines.append(line[len("data: "):])
                at.append(time.monotonic() - began)
        client.close()
        check(answer.status == 200 and lines and lines[-1].strip() == b"[DONE]", f"a stream: {answer.status} {lines[-1:]}")
        self.text = json.dumps([json.loads(line)["choices"] for line in lines[:-1]])
        self.first, self.seconds = at[0], at[-1]


class Median:
    def __init__(self, replies):
        self.text = replies[0].text
        self.seconds, self.first = (statistics.median(getattr(reply, what) for reply in replies) for what in ("seconds", "first"))

    def __str__(self):
        each = (self.seconds - self.first) / (HONEST["max_tokens"] - 1)
        return f"median {self.seconds:.3f} s (first token after {1e3 * self.first:.1f} ms, one in {1e3 * each:.2f} ms)"


class Steps:
    """Of the model, since then: how many, how long, how large."""

    def __init__(self, server):
        self.server = server
        self.began = self.totals()

    def totals(self):
        text = self.server.call("/metrics", headers=bearer(HONEST_KEY))[2]
        return [float(re.search(rf"^moe_{name}\{{[^}}]*\}} (\S+)$", text, re.M).group(1))
                for name in ("steps_total", "step_seconds_sum", "step_tokens_sum")]

    def __str__(self):
        steps, seconds, tokens = (now - then for now, then in zip(self.totals(), self.began))
        return f"steps of {tokens / max(steps, 1):.1f} tokens in {1e3 * seconds / max(steps, 1):.2f} ms"


class Beside(threading.Thread):
    """Does something over and over until it is told to stop, and keeps what it gives."""

    def __init__(self, act, pause):
        super().__init__(daemon=True)
        self.act, self.pause, self.kept, self.ending = act, pause, [], threading.Event()
        self.start()

    def run(self):
        while not self.ending.is_set():
            try:
                self.kept.append(self.act())
            except Exception as error:  # a failure of the server, whatever it is to the client
                failures.append(str(error))
                print("FAILED: beside the load:", repr(error), flush=True)
            self.ending.wait(self.pause)

    def stop(self):
        self.ending.set()
        self.join(timeout=120)
        check(not self.is_alive(), "a client beside the load comes to an end")
        return self.kept


def health_seconds(server):
    began = time.monotonic()
    status, _, text = server.call("/health")
    seconds = time.monotonic() - began
    check(status == 200 and text == '{"status":"ok"}', f"/health under load: {status} {text}")
    return seconds


# Loads: each gives its command, and what its output must be like.

def hey(path, body=None):
    def load(url, seconds):
        post = [] if body is None else ["-m", "POST", "-T", "application/json", "-d", json.dumps(body)]
        return ["hey", "-z", f"{seconds}s", "-c", "64", "-H", f"Authorization: Bearer {FLOOD_KEY}", *post, url + path], see_hey
    return load


def see_hey(out):
    counts = dict(re.findall(r"\[(\d{3})\]\s+(\d+) responses", out))
    check(set(counts) == {"200"}, f"hey: statuses {counts}: {out[-500:]}")
    return f"{counts.get('200')} answers"


def wrk(url, seconds, script):
    def see(out):
        found = re.search(r"(\d+) requests in", out)
        check(found is not None and int(found.group(1)) > 0, f"wrk: {out[-500:]}")
        check("Non-2xx" not in out and "Socket errors" not in out, f"wrk: {out[-500:]}")
        return f"{found.group(1)} replies" if found else ""
    return ["wrk", "-t", "1", "-c", "64", "-d", f"{seconds}s", "--timeout", "60s", "-s", script, url], see


def slow(kind):
    def load(url, seconds):
        def see(out):
            found = re.findall(r"service available:\s+(\S+)", re.sub(r"\x1b\[[0-9;]*m", "", out))
            check(found and set(found) == {"YES"}, f"slowhttptest -{kind}: {out[-500:]}")
            return f"up to {HELD} connections held"
        path = "/v1/completions" if kind == "B" else "/health"
        return ["slowhttptest", f"-{kind}", "-c", str(HELD), "-r", "200", "-i", "2", "-l", str(seconds), "-f", "application/json",
                "-s", "100000", "-j", f"a=b\r\nAuthorization: Bearer {FLOOD_KEY}", "-u", url + path], see
    return load


def run_load(name, command, see, server, alone, seconds):
    """Runs one load with everyone beside it, and says what they saw."""
    steps = Steps(server)
    honest, health = Beside(lambda: Reply(server), 0.1), Beside(lambda: health_seconds(server), 0.05)
    try:
        out = subprocess.run(command, capture_output=True, text=True, timeout=seconds * 3 + 120, check=False)
        said = see(out.stdout + out.stderr)
    except subprocess.TimeoutExpired:
        said = "did not end"
        check(False, f"{name} does not come to an end")
    said = f"{said}, {steps}"
    replies, waits = honest.stop(), sorted(health.stop())
    check(replies and waits, f"{name}: someone was served beside it")
    check(all(reply.text == alone.text for reply in replies), f"{name}: a stream beside it is a stream alone")
    middle = Median(replies or [alone])
    print(f"{name}: {said}; {len(replies)} streams, {middle}, {middle.seconds / alone.seconds:.2f} times alone; /health "
          f"median {1e3 * statistics.median(waits or [0]):.1f} ms, most {1e3 * max(waits or [0]):.1f} ms; "
          f"{resident_bytes(server.process) / 1e6:.1f} MB", flush=True)
    return middle.seconds / alone.seconds, max(waits or [0])


def loads_of(script):
    every = {"hey": ("hey", hey("/v1/completions", FLOOD)),
             "hey, a token each": ("hey", hey("/v1/completions", {**FLOOD, "max_tokens": 1})), "hey, /health": ("hey", hey("/health")),
             "wrk": ("wrk", lambda url, seconds: wrk(url, seconds, script)),
             **{f"slowhttptest -{kind}": ("slowhttptest", slow(kind)) for kind in "HBR"}}
    for tool in dict.fromkeys(tool for tool, _ in every.values()):
        if shutil.which(tool) is None:
            print(f"SKIPPED soak with {tool}: it is not installed (apt-get install {tool})")
    return {name: load for name, (tool, load) in every.items() if shutil.which(tool)}


def idle(server):
    text = server.call("/metrics", headers=bearer(HONEST_KEY))[2]
    return re.search(r"^moe_requests_running\{[^}]*\} 0$", text, re.M) and re.search(r"^moe_connections\{[^}]*\} 1$", text, re.M)


def soak(server, loads, options):
    url = f"http://127.0.0.1:{server.port}"
    Reply(server)
    steps, runs = Steps(server), [Reply(server) for _ in range(9)]
    alone = Median(runs)
    check(all(reply.text == alone.text for reply in runs), "streams alone are alike")
    print(f"alone: a stream of {HONEST['max_tokens']} tokens takes {alone}; {steps}; {resident_bytes(server.process) / 1e6:.1f} MB")
    left, slowest, longest = [], 0, 0
    for turn in range(ROUNDS):
        for name, load in loads.items():
            ratio, wait = run_load(f"{name}, round {turn + 1}", *load(url, options.seconds), server, alone, options.seconds)
            slowest = max(slowest, ratio) if name.startswith("slow") else slowest
            longest = max(longest, wait)
        check(wait_until(lambda: idle(server), 40), "nothing runs and nobody is connected when all have gone")
        left.append(resident_bytes(server.process))
    print("memory after each round:", ", ".join(f"{size / 1e6:.1f} MB" for size in left))
    check(left[-1] <= left[0] + GROWTH, f"memory is flat: {left}")
    check(Reply(server).text == alone.text, "a stream afterwards")
    if options.strict:
        check(slowest < 2, f"a stream beside idlers takes less than twice its time alone: {slowest:.2f}")
        check(longest < 0.05, f"/health within 50 ms: {1e3 * longest:.1f} ms")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("root")
    parser.add_argument("--seconds", type=int, default=60, help="of each load in each round (60)")
    parser.add_argument("--model", help="what is served (nano-moe)")
    parser.add_argument("--only", help="the loads whose name begins so")
    parser.add_argument("--max-step-ms", help="of the server (its default)")
    parser.add_argument("--threads", default="1", help="of the server (1)")
    parser.add_argument("--strict", action="store_true", help="on a quiet machine: times are asked for")
    options = parser.parse_args()
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script, tempfile.NamedTemporaryFile("w") as keys:
        script.write(WRK)
        script.flush()
        loads = {name: load for name, load in loads_of(script.name).items() if name.startswith(options.only or "")}
        keys.write(f"{HONEST_KEY}\n{FLOOD_KEY}\n")
        keys.flush()
        more = ["--max-step-ms", options.max_step_ms] if options.max_step_ms else []
        model = options.model or os.path.join(options.root, "models/nano/nano-moe")
        with Server(options.program, model, "--no-log", "--api-key-file", keys.name,
                    *more, threads=options.threads) as server:
            if loads:
                soak(server, loads, options)
            check(server.stop() == 0, "the server ends when it is told")
    finish()


if __name__ == "__main__":
    main()
