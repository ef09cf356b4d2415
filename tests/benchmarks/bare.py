"""What the product is measured against: a bare gevent server that sends the same bytes, and raw sqlite3."""

import json
import socket
import sqlite3
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any


def serve(answers: Path, port: int) -> None:
    """`answers` holds path -> {headers, body}. The standard handler, nothing but a look into a dict."""
    from gevent.pywsgi import WSGIServer

    table = {
        path: ([tuple(pair) for pair in one["headers"]], one["body"].encode("latin-1"))
        for path, one in json.loads(answers.read_text()).items()
    }

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        headers, body = table[environ["PATH_INFO"]]
        start_response("200 OK", headers)
        return (body,)

    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(4096)
    WSGIServer(listener, app, log=None, error_log=None).serve_forever()


def insert(path: Path, seconds: float) -> float:
    """Commits a second of one work order each: its row, and its fact in the ledger, as the product wrote its last one.

    The product also writes the order's event and raises the ledger's head, which here is left out.
    """
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")
    order = connection.execute("select * from work_order order by no desc limit 1").fetchone()
    fact = connection.execute("select * from ledger order by seq desc limit 1").fetchone()
    add = f"insert into work_order values ({', '.join('?' * len(order))})"
    append = f"insert into ledger values ({', '.join('?' * len(fact))})"
    began, done = time.perf_counter(), 0
    execute = connection.cursor().execute
    while time.perf_counter() - began < seconds:
        done += 1
        execute("BEGIN IMMEDIATE")
        execute(add, (order[0] + done, *order[1:]))
        execute(append, (fact[0] + done, *fact[1:]))
        execute("COMMIT")
    rate = done / (time.perf_counter() - began)
    connection.close()
    return rate


if __name__ == "__main__":
    what, where, figure = sys.argv[1:]
    if what == "serve":
        from gevent import monkey

        monkey.patch_all()
        serve(Path(where), int(figure))
    else:
        print(insert(Path(where), float(figure)))
