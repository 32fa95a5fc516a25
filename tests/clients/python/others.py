"""Writes events with the clients of InfluxDB 1 and QuestDB and reads them back as a report."""

import json
import sys
import urllib.request

from influxdb import InfluxDBClient
from influxdb.exceptions import InfluxDBClientError
from questdb.ingress import IngressError, Sender, TimestampNanos

HTTP, TCP = sys.argv[1].removeprefix("http://"), sys.argv[2]
STORY = "5b07ffafc2376e30306d9b26"
NINE = 1552813200


def expect(what, told, right):
    if told != right:
        sys.exit(f"python: {what}: told {told!r}, right {right!r}")


def point(count):
    return {"measurement": "message", "tags": {"storyId": STORY, "source": "app"}, "fields": {"count": count}, "time": NINE}


def influxdb():
    host, port = HTTP.rsplit(":", 1)
    for gzip in (False, True):
        client = InfluxDBClient(host, int(port), "user", "password", "bots", gzip=gzip)
        expect("version", bool(client.ping()), True)
        client.create_database("bots")
        expect("databases", client.get_list_database(), [{"name": "tallyd"}])
        expect("write", client.write_points([point(1)] * 10, time_precision="s"), True)
        try:
            client.write_points([point(1.5)], time_precision="s")
            sys.exit("python: half a message was taken")
        except InfluxDBClientError as error:
            expect("status of a bad line", error.code, 400)
    print("python influxdb: its writes were taken")


def questdb():
    symbols = {"storyId": STORY, "source": "app"}
    for target in (f"http::addr={HTTP};", f"tcp::addr={TCP};"):
        with Sender.from_conf(target) as sender:
            for i in range(50):
                sender.row("message", symbols=symbols, columns={"count": 1}, at=TimestampNanos(NINE * 10**9 + i))
    try:
        with Sender.from_conf(f"http::addr={HTTP};") as sender:
            sender.row("message", symbols=symbols, columns={"count": -1}, at=TimestampNanos(NINE * 10**9))
        sys.exit("python: a negative count was taken")
    except IngressError as error:
        expect("words for a bad line", "whole number from 0" in str(error), True)
    print("python questdb: its writes were taken")


def main():
    influxdb()
    questdb()
    query = f"storyId={STORY}&from=2019-03-17&to=2019-03-17"
    # What came over TCP is not answered, so the report may be ahead of the last of it.
    for _ in range(200):
        with urllib.request.urlopen(f"http://{HTTP}/reports/conversations.messages?{query}") as answer:
            total = json.load(answer)["summary"]["total"]
        if total == 120:
            break
    expect("messages", total, 120)
    print("python influxdb and questdb: every event that they wrote is in the report")


main()
