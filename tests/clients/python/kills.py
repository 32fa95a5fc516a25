"""Has stock clients and `tallyd push` write through a proxy that loses answers, while the daemon is killed and started again:
each event counts once, under every fsync policy.
usage: kills.py TALLYD NODE_DIRECTORY [SECONDS between kills]."""

import json
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

TALLYD, NODE = sys.argv[1:3]
BETWEEN = float(sys.argv[3]) if len(sys.argv) > 3 else 2.0
HERE = Path(__file__).parent
STORY = "5b07ffafc2376e30306d9c04"
NINE = 1552813200
LINES = 50_000


class Daemon:
    """Killed every so often, and started again on the same port and directory."""

    def __init__(self, directory, fsync):
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.address = "127.0.0.1:%d" % free.getsockname()[1]
        self.command = [TALLYD, "serve", "--http-listen", self.address, "--tcp-listen", "off", "--fsync", fsync]
        self.command += ["--snapshot-interval", "1s", "--data-dir", f"{directory}/data"]
        self.kills = 0
        self.ended = threading.Event()
        self.process = self.start()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def start(self):
        process = subprocess.Popen(self.command, stderr=subprocess.PIPE, text=True)
        for line in process.stderr:
            if "listening" in line:
                threading.Thread(target=process.stderr.read, daemon=True).start()
                return process
        sys.exit("the daemon does not start")

    def run(self):
        while not self.ended.wait(BETWEEN):
            self.process.kill()
            self.process.wait()
            self.kills += 1
            self.process = self.start()

    def stop(self):
        self.ended.set()
        self.thread.join()
        self.process.terminate()
        if self.process.wait() != 0:
            sys.exit("the daemon did not stop in order")


def push(proxy, file):
    """An interrupted push is one that is made again."""
    for _ in range(50):
        command = [TALLYD, "push", "--url", f"http://{proxy}", file]
        if subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0:
            return
    sys.exit("push: gave up")


def total(daemon, story):
    url = f"http://{daemon}/reports/conversations.messages?storyId={story}&from=2019-03-17&to=2019-03-17"
    for _ in range(1000):
        try:
            with urllib.request.urlopen(url) as answer:
                return json.load(answer)["summary"]["total"]
        except OSError:
            time.sleep(0.02)  # down for the moment
    sys.exit("no report")


def main():
    for fsync in ("always", "interval", "never"):
        with tempfile.TemporaryDirectory() as directory:
            file = f"{directory}/events.lp"
            with open(file, "w") as events:
                for i in range(LINES):
                    events.write(f"message,storyId={STORY},source=app count=1i {NINE * 10**9 + i * 1_000 + 1}\n")
            daemon = Daemon(directory, fsync)
            proxy = subprocess.Popen([sys.executable, HERE / "proxy.py", daemon.address], stdout=subprocess.PIPE, text=True)
            lossy = proxy.stdout.readline().strip()
            try:
                clients = [
                    subprocess.Popen([sys.executable, HERE / "lossy.py", lossy, daemon.address]),
                    subprocess.Popen(["node", "lossy.mjs", lossy, daemon.address], cwd=NODE),
                ]
                push(lossy, file)
                push(lossy, file)
                counted = total(daemon.address, STORY)
                if any(client.wait() != 0 for client in clients) or counted != LINES:
                    sys.exit(f"fsync {fsync}: push: {counted} events counted of {LINES}")
                print(f"fsync {fsync}: push: {counted} events, pushed twice, each counted once; {daemon.kills} kills", flush=True)
            finally:
                daemon.stop()
                proxy.kill()


main()
