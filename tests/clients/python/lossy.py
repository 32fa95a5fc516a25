"""Writes events with stock clients through a proxy that loses answers: each event counts once.
usage: lossy.py PROXY DAEMON, both HOST:PORT."""

import json
import logging
import sys
import time
import urllib.request
import warnings

from influxdb_client import InfluxDBClient, Point, WritePrecision
from influxdb_client.client.write_api import WriteOptions
from questdb.ingress import IngressError, Sender, TimestampNanos

PROXY, DAEMON = sys.argv[1:3]
STORIES = {"influxdb-client": "5b07ffafc2376e30306d9c01", "questdb": "5b07ffafc2376e30306d9c02"}
NINE = 1552813200
EVENTS = 4454


def nanos(i):
    return NINE * 10**9 + i * 1_000 + 1


def influxdb(story):
    failed = []
    options = WriteOptions(batch_size=100, flush_interval=100, retry_interval=20, max_retries=2_000, max_retry_delay=50,
                           max_retry_time=120_000, exponential_base=1, jitter_interval=0)
    with InfluxDBClient(url=f"http://{PROXY}", token="any", org="o") as client:
        with client.write_api(write_options=options, error_callback=lambda *what: failed.append(what)) as write:
            for i in range(EVENTS):
                point = Point("message").tag("storyId", story).tag("source", "app").field("count", 1)
                write.write("b", "o", point.time(nanos(i), WritePrecision.NS))
    if failed:
        sys.exit(f"python influxdb-client: gave up: {failed[0]}")


def questdb(story):
    """This client does not repeat a request by itself whose connection breaks; its users do, with the same buffer."""
    for first in range(0, EVENTS, 100):
        buffer = None
        for _ in range(2_000):
            try:
                with Sender.from_conf(f"http::addr={PROXY};auto_flush=off;") as sender:
                    if buffer is None:
                        buffer = sender.new_buffer()
                        for i in range(first, min(first + 100, EVENTS)):
                            symbols = {"storyId": story, "source": "app"}
                            buffer.row("message", symbols=symbols, columns={"count": 1}, at=TimestampNanos(nanos(i)))
                    sender.flush(buffer, clear=False)
                break
            except IngressError:
                time.sleep(0.01)
                continue
        else:
            sys.exit("python questdb: gave up")


def report(query):
    for _ in range(1000):
        try:
            with urllib.request.urlopen(f"http://{DAEMON}/reports/conversations.messages?{query}") as answer:
                return json.load(answer)["summary"]["total"]
        except OSError:
            time.sleep(0.02)  # the daemon is down for the moment
    sys.exit("python: no report")


def main():
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    for name, story in STORIES.items():
        {"influxdb-client": influxdb, "questdb": questdb}[name](story)
        query = f"storyId={story}&from=2019-03-17&to=2019-03-17"
        total = report(query)
        if total != EVENTS:
            sys.exit(f"python {name}: {total} events counted of {EVENTS} written")
        print(f"python {name}: {total} events through a proxy that loses answers, each counted once")


main()
