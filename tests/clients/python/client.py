"""Writes events with influxdb-client and reads them back as reports."""

import json
import sys
import urllib.request

from influxdb_client import InfluxDBClient, Point, WritePrecision
from influxdb_client.client.write_api import SYNCHRONOUS, WriteOptions
from influxdb_client.rest import ApiException

URL = sys.argv[1]
STORY = "5b07ffafc2376e30306d9b16"
NODE = "5b07ffafc2376e30306d9b17"
NINE = 1552813200


def report(name, **parameters):
    query = "&".join(f"{key}={value}" for key, value in parameters.items())
    with urllib.request.urlopen(f"{URL}/reports/{name}?storyId={STORY}&{query}") as answer:
        return json.load(answer)


def expect(what, told, right):
    if told != right:
        sys.exit(f"python: {what}: told {told!r}, right {right!r}")


def event(measurement):
    return Point(measurement).tag("storyId", STORY).tag("source", "messenger")


def main():
    for gzip in (False, True):
        with InfluxDBClient(url=URL, token="any", org="o", enable_gzip=gzip) as client:
            expect("ping", client.ping(), True)
            expect("version", bool(client.version()), True)
            write = client.write_api(write_options=SYNCHRONOUS)
            paid = event("conversation").field("count", 1).field("paid", True)
            write.write("b", "o", paid.time(NINE, WritePrecision.S))
            write.write("b", "o", [
                event("message").field("count", 2).time(NINE * 1000 + i, WritePrecision.MS) for i in range(100)
            ])
            named = event("interaction").tag("id", NODE).field("count", 1).field("name", "say \"hi\", ok")
            write.write("b", "o", named.time(NINE * 10**9, WritePrecision.NS))
            try:
                write.write("b", "o", event("conversation").field("count", -1).time(NINE, WritePrecision.S))
                sys.exit("python: a negative count was taken")
            except ApiException as error:
                expect("status of a bad line", error.status, 400)
                expect("message of a bad line", "count" in error.message, True)
    with InfluxDBClient(url=URL, token="any", org="o") as client:
        batches = client.write_api(write_options=WriteOptions(batch_size=50, flush_interval=1_000))
        for i in range(120):
            batches.write("b", "o", event("message").field("count", 1).time(NINE * 10**9 + i, WritePrecision.NS))
        batches.close()
    day = {"from": "2019-03-17", "to": "2019-03-17"}
    expect("conversations", report("conversations", **day)["summary"]["total"], 2)
    expect("paid", report("conversations.paid", **day)["summary"]["total"], 2)
    expect("messages", report("conversations.messages", **day)["summary"]["total"], 520)
    expect("average", report("conversations.average", **day)["overall"], 260)
    row = report("interactions.popularity", **day)[0]
    expect("interaction", row, {"name": 'say "hi", ok', "id": NODE, "usage": 100, "value": 2})
    print("python influxdb-client: every event that it wrote is in the reports")


main()
