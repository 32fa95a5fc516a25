#!/usr/bin/env python3
"""Counts batches of events with DuckDB in this process, for the part `duckdb` of benches/load.

    python3 benches/load/duckdb_batches.py FOLDER PASSES     (pip install duckdb)

FOLDER holds one file for each batch, rows of metric, story, source, node and hour with tabs between them, made beforehand. Each
batch is one transaction: its rows are added up and appended, and its key is noted, so that it counts once. After the last batch of
each pass what was appended is folded, one row a counter. Prints JSON: seconds, processor time and events of each pass, then
the sum of the counts, peak memory and bytes on disk.
"""
import json
import pathlib
import resource
import sys
import tempfile
import time

import duckdb

COLUMNS = {"metric": "VARCHAR", "story": "VARCHAR", "source": "VARCHAR", "node": "VARCHAR", "hour": "UINTEGER"}
ROWS = "(metric VARCHAR, story VARCHAR, source VARCHAR, node VARCHAR, hour UINTEGER, count UBIGINT)"


def processor_seconds():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def append(connection, batch, key):
    connection.execute("BEGIN")
    connection.execute("INSERT INTO keys VALUES (?)", [key])
    connection.execute(
        "INSERT INTO appended SELECT metric, story, source, node, hour, count(*) "
        "FROM read_csv(?, delim = '\t', header = false, auto_detect = false, columns = ?) GROUP BY ALL",
        [str(batch), COLUMNS],
    )
    connection.execute("COMMIT")


def fold(connection):
    connection.execute("BEGIN")
    connection.execute(
        "CREATE TABLE next AS SELECT metric, story, source, node, hour, sum(count)::UBIGINT AS count "
        "FROM (FROM folded UNION ALL FROM appended) GROUP BY ALL"
    )
    connection.execute("DROP TABLE folded")
    connection.execute("ALTER TABLE next RENAME TO folded")
    connection.execute("DELETE FROM appended")
    connection.execute("COMMIT")
    connection.execute("CHECKPOINT")


def main():
    batches = sorted(pathlib.Path(sys.argv[1]).iterdir())
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "counts"
        connection = duckdb.connect(str(file))
        connection.execute(f"CREATE TABLE appended {ROWS}")
        connection.execute(f"CREATE TABLE folded {ROWS}")
        connection.execute("CREATE TABLE keys (key VARCHAR PRIMARY KEY)")
        passes = []
        for number in range(int(sys.argv[2])):
            begun, processor = time.monotonic(), processor_seconds()
            for batch in batches:
                append(connection, batch, f"{number} {batch.name}")
            fold(connection)
            passes.append([time.monotonic() - begun, processor_seconds() - processor])
        (total,) = connection.execute("SELECT sum(count)::UBIGINT FROM folded").fetchone()
        connection.close()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        disk = sum(path.stat().st_size for path in pathlib.Path(folder).iterdir())
    print(json.dumps({"passes": passes, "total": total, "peak": peak, "disk": disk}))


if __name__ == "__main__":
    main()
