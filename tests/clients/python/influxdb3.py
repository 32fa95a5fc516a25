"""Writes events with influxdb3-python, in each of its ways, and reads them back as a report."""

import json
import sys
import urllib.request

from influxdb_client_3 import SYNCHRONOUS, InfluxDBClient3, Point, WritePrecision, write_client_options

URL = sys.argv[1]
STORY = "5b07ffafc2376e30306d9b36"
NINE = 1552813200


def points(way):
    # Times of their own for each way: the same batch twice would count once.
    first = NINE * 10**9 + way * 1000 + 1
    event = Point("message").tag("storyId", STORY).tag("source", "slack")
    for i in range(10):
        yield event.field("count", 1).time(first + i, WritePrecision.NS).to_line_protocol()


def main():
    synchronous = {"write_client_options": write_client_options(write_options=SYNCHRONOUS)}
    for way, options in enumerate(({}, {"enable_gzip": True}, synchronous, synchronous | {"enable_gzip": True})):
        with InfluxDBClient3(host=URL, token="any", database="b", **options) as client:
            client.write(list(points(way)))
    with InfluxDBClient3(host=URL, token="any", database="b", **synchronous) as client:
        try:
            client.write(f"message,storyId={STORY},source=slack count=-1i {NINE * 10**9}")
            sys.exit("python influxdb3: a negative count was taken")
        except Exception as error:  # The client has no class of its own for it that it exports.
            if "whole number" not in str(error):
                sys.exit(f"python influxdb3: a bad line is told as {error}")
    query = f"storyId={STORY}&from=2019-03-17&to=2019-03-17"
    with urllib.request.urlopen(f"{URL}/reports/conversations.messages?{query}") as answer:
        total = json.load(answer)["summary"]["total"]
    if total != 40:
        sys.exit(f"python influxdb3: {total} messages, right 40")
    print("python influxdb3: every event that it wrote is in the report")


main()
