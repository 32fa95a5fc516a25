"""What a hostile network can do to a release build, at full size: takes some minutes, so it is no part of `.ci/run`, whose tests
have the same faults smaller. Every step fails where the daemon answers wrongly or holds more than it may; the figures are printed.
usage: run.py TALLYD [STEP…]; slow clients need slowhttptest (Debian has it)."""

import http.client
import json
import os
import re
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from pathlib import Path

GIB = 1 << 30
MIB = 1 << 20
LINE = b"message,storyId=5b07ffafc2376e30306d9b16,source=app count=1i\n"
SECRET = "a-secret-that-people-made"


class Daemon:
    def __init__(self, *arguments, **environment):
        self.directory = tempfile.TemporaryDirectory()
        command = [TALLYD, "serve", "--data-dir", self.directory.name + "/data", *arguments]
        for name in ("--http-listen", "--tcp-listen"):
            if name not in arguments:
                command += [name, "127.0.0.1:0"]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
        for line in self.process.stderr:
            if found := re.search(r"listening http=(\S+) tcp=(\S+)", line):
                self.http, self.lines = [self.place(address) for address in found.groups()]
                break
        else:
            sys.exit("the daemon does not start")
        threading.Thread(target=self.process.stderr.read, daemon=True).start()

    @staticmethod
    def place(address):
        host, _, port = address.rpartition(":")
        return (host, int(port)) if host else None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        self.directory.cleanup()

    def memory(self, key="VmRSS"):
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"{key}:\s+(\d+) kB", status)[1]) * 1024

    def ask(self, method, path, body=None, headers={}):
        connection = http.client.HTTPConnection(*self.http)
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()


class Poller:
    """Asks for a report again and again, each time by a connection of its own, until it is ended."""

    def __init__(self, daemon):
        self.daemon, self.times, self.ended = daemon, [], threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while not self.ended.wait(0.01):
            begun = time.perf_counter()
            status, _ = self.daemon.ask("GET", "/reports/conversations?period=last30days")
            self.times.append(time.perf_counter() - begun)
            expect("status of a report meanwhile", status, 200)

    def end(self):
        self.ended.set()
        self.thread.join()
        times = sorted(self.times)
        return f"reports meanwhile: {len(times)}, p50 {times[len(times) // 2] * 1e3:.1f} ms, p99 {times[len(times) * 99 // 100] * 1e3:.1f} ms"


def expect(what, told, right):
    if told != right:
        print(f"{what}: {told!r}; right is {right!r}", flush=True)
        os._exit(1)  # from whichever thread


def endless_line():
    with Daemon() as daemon:
        with socket.create_connection(daemon.lines) as stream:
            stream.sendall(LINE * 100_000 + b"!sync\n")
            expect("answer", stream.makefile("rb").readline(), b"OK 100000 0\n")
        before = daemon.memory("VmHWM")
        with socket.create_connection(daemon.lines) as stream:
            piece, begun = b"x" * MIB, time.perf_counter()
            for _ in range(10 * GIB // MIB):
                stream.sendall(piece)
            seconds = time.perf_counter() - begun
            stream.sendall(b"\n" + LINE + b"!sync\n")
            answers = stream.makefile("rb")
            error, ok = answers.readline(), answers.readline()
        expect("an error for the line", error.startswith(b"ERR 1 "), True)
        expect("answer", ok, b"OK 1 1\n")
        more = daemon.memory("VmHWM") - before
        expect(f"at most 2 MiB more, not {more}", more < 2 * MIB, True)
        return f"a line of 10 GiB: one ERR, the next line counts; {10 / seconds:.1f} GiB/s, {more // 1024} KiB more at most"


def bomb():
    """Gzip of 10 GiB of zeros: the same whole block of deflate over and over."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(bytes(MIB)) + packer.flush(zlib.Z_FULL_FLUSH)
    body = b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + block * (10 * GIB // MIB) + b"\x03\0" + bytes(8)
    with Daemon() as daemon:
        daemon.ask("POST", "/events", LINE)
        before = daemon.memory("VmHWM")
        status, _ = daemon.ask("POST", "/events", body, {"Content-Encoding": "gzip"})
        more = daemon.memory("VmHWM") - before
        expect("status of a bomb", status, 413)
        # What was sent, and what it inflates to until it is too much, and half of that while the buffer grows.
        expect("at most 64 MiB and the body more", more < 64 * MIB + len(body), True)
        return f"{len(body) / MIB:.0f} MiB that inflate to 10 GiB: 413, {more / MIB:.0f} MiB more at most"


def slow_clients():
    if not shutil.which("slowhttptest"):
        sys.exit("slowhttptest is not installed")
    told = []
    with Daemon() as daemon:
        url = "http://%s:%d/" % daemon.http
        body = ["-u", url + "events", "-t", "POST", "-s", "8192"]
        read = ["-u", url + "reports/conversations?period=last30days", "-w", "1", "-y", "2", "-n", "5", "-z", "1", "-k", "3"]
        for name, arguments in {"heads": ["-H", "-u", url], "bodies": ["-B", *body], "readers": ["-X", *read]}.items():
            poller = Poller(daemon)
            command = ["slowhttptest", *arguments, "-c", "1000", "-r", "200", "-i", "10", "-l", "20", "-p", "5"]
            subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            told.append(f"1,000 slow {name}: {poller.end()}")
    return "\n".join(told)


def many_connections():
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    with Daemon("--tcp-listen", "off") as daemon:
        daemon.ask("GET", "/health")
        before = daemon.memory()
        # The last 64 are kept for one request each, so they do not stay.
        idle = [socket.create_connection(daemon.http) for _ in range(10_000)]
        while metric(daemon, idle[0]) < 10_000:
            pass
        each = (daemon.memory() - before) / 10_000
        status, _ = daemon.ask("GET", "/health")
        expect("status of the 10,001st", status, 503)
        for stream in idle[:2_000]:
            stream.close()
        poller, begun, opened = Poller(daemon), time.perf_counter(), 0
        while opened < 10_000:
            socket.create_connection(daemon.http).close()
            opened += 1
            time.sleep(max(0, begun + opened / 1_000 - time.perf_counter()))
        rate = opened / (time.perf_counter() - begun)
        told = poller.end()
        return f"10,000 idle connections: {each / 1024:.1f} KiB each, one more is 503; 8,000 idle and {rate:.0f} opened and closed a second: {told}"


def metric(daemon, stream):
    """The connections that the daemon says it has, asked by one of them."""
    stream.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
    head = b""
    while b"\r\n\r\n" not in head:
        head += stream.recv(65536)
    head, _, body = head.partition(b"\r\n\r\n")
    length = int(re.search(rb"(?i)content-length: (\d+)", head)[1])
    while len(body) < length:
        body += stream.recv(65536)
    return int(re.search(rb'tallyd_connections\{listener="http"\} (\d+)', body)[1])


def tokens():
    """Times of tokens that have the form of `tallyd token`, which are always checked."""
    right = "tally_" + "A" * 43
    with Daemon(TALLYD_TOKENS=f"board:read:{right};people:read:{SECRET}") as daemon:
        connection = http.client.HTTPConnection(*daemon.http)
        kinds = {"right": right, "last letter wrong": right[:-1] + "B", "all wrong": "tally_" + "z" * 43}
        times = {kind: [] for kind in kinds}
        for _ in range(33_400):
            for kind, token in kinds.items():
                begun = time.perf_counter()
                connection.request("GET", "/stories", headers={"Authorization": f"Bearer {token}"})
                answer = connection.getresponse()
                answer.read()
                times[kind].append(time.perf_counter() - begun)
                expect(kind, answer.status, 200 if kind == "right" else 401)
        medians = {kind: statistics.median(all) * 1e6 for kind, all in times.items()}
        told = ", ".join(f"{kind} {median:.1f} µs" for kind, median in medians.items())
        statuses = {}
        for number in range(1_000):
            status, _ = daemon.ask("GET", "/stories", headers={"Authorization": f"Bearer guess-number-{number:06}"})
            statuses[status] = statuses.get(status, 0) + 1
        status, _ = daemon.ask("GET", "/stories", headers={"Authorization": f"Bearer {right}"})
        expect("the good token meanwhile", status, 200)
        expect("guesses that were checked", statuses.get(401, 0) < 50, True)
        return f"100,200 tokens, medians: {told}; 1,000 guesses: {json.dumps(statuses)}, a good token passes meanwhile"


def bodiless_gzip():
    with Daemon() as daemon:
        status, _ = daemon.ask("GET", "/ping", headers={"Content-Encoding": "gzip"})
        expect("status of a GET that says gzip", status, 204)
        return "a GET without a body that says Content-Encoding: gzip: 204"


STEPS = [endless_line, bomb, slow_clients, many_connections, tokens, bodiless_gzip]
TALLYD = sys.argv[1]
for step in STEPS:
    if len(sys.argv) == 2 or step.__name__ in sys.argv[2:]:
        print(step(), flush=True)
