"""Ready documents over keep-alive, against a bare gevent server that sends the same bytes."""

import json
from collections.abc import Iterator

from tests.benchmarks.bare import __name__ as bare
from tests.benchmarks.figures import CACHE, Figure, median, say, share_of, number
from tests.benchmarks.history import copy
from tests.benchmarks.load import Load, load, request
from tests.benchmarks.processes import Service, Web

PATHS = ("/metrics", "/api/metrics/all")
ROUNDS, SECONDS, CONNECTIONS = 5, 2.0, 16
OWN = ("Date",)  # pywsgi adds it


def http() -> Iterator[Figure]:
    database, _ = copy("million")
    answers = CACHE / "answers.json"
    with Service(database) as service:
        service.until("/api/metrics/all")
        answers.write_text(json.dumps({path: _answer(service, path) for path in PATHS}))
        with Web(bare, "serve", str(answers), name="bare") as plain:
            plain.until(PATHS[0])
            for path in PATHS:
                yield from _against(service, plain, path)
        for path in PATHS:
            yield from _variants(service, path)


def _answer(service: Service, path: str) -> dict[str, object]:
    _, headers, body = service.ask("GET", path)
    return {"headers": [pair for pair in headers.items() if pair[0] not in OWN], "body": body.decode("latin-1")}


def _against(service: Service, plain: Web, path: str) -> Iterator[Figure]:
    asked, product, baseline = request("GET", path), list[Load](), list[Load]()
    for turn in range(ROUNDS):
        baseline.append(load(plain.port, asked, CONNECTIONS, SECONDS).require(200))
        product.append(load(service.port, asked, CONNECTIONS, SECONDS).require(200))
        say(f"http: GET {path} round {turn + 1} of {ROUNDS}: {product[-1].rate:,.0f}/s, bare {baseline[-1].rate:,.0f}/s")
    busiest = max(one.busy for one in [*product, *baseline])
    what = f"GET {path}, {product[0].length / 1000:.1f} kB, {CONNECTIONS} connections (client busy {busiest:.0%})"
    yield share_of(what, median(one.rate for one in product), median(one.rate for one in baseline), 0.8, "requests/s")


def _variants(service: Service, path: str) -> Iterator[Figure]:
    """Told for themselves: they have no baseline of the same bytes."""
    gzipped = request("GET", path, **{"Accept-Encoding": "gzip"})
    for name, asked in (("GET gzip", gzipped), ("HEAD", request("HEAD", path))):
        one = load(service.port, asked, CONNECTIONS, SECONDS).require(200)
        yield Figure(f"{name} {path}, {one.length / 1000:.1f} kB", f"{number(one.rate)} requests/s")
    tag = service.ask("GET", path)[1]["ETag"]
    one = load(service.port, request("GET", path, **{"If-None-Match": tag}), CONNECTIONS, SECONDS)
    same = one.statuses.get("304", 0) / sum(one.statuses.values())
    yield Figure(f"GET If-None-Match {path}, {same:.0%} of them 304", f"{number(one.rate)} requests/s")
