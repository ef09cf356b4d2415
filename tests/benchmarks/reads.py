"""Ready documents over keep-alive, against a bare gevent server that sends the same bytes."""

import json
from collections import Counter
from collections.abc import Iterator

from tests.benchmarks.bare import __name__ as bare
from tests.benchmarks.figures import CACHE, Figure, median, number, say, share_of
from tests.benchmarks.history import copy
from tests.benchmarks.load import LAST_TAG, Load, load, request
from tests.benchmarks.processes import Service, Web

PATHS = ("/metrics", "/api/metrics/all")
VARIANTS: tuple[tuple[str, str, dict[str, str]], ...] = (
    ("GET gzip", "GET", {"Accept-Encoding": "gzip"}),
    ("HEAD", "HEAD", {}),
    ("GET If-None-Match", "GET", {"If-None-Match": LAST_TAG}),
)
ROUNDS, FEW, SECONDS, CONNECTIONS = 5, 3, 1.5, 16
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
        yield from _variants(service)


def _answer(service: Service, path: str) -> dict[str, object]:
    _, headers, body = service.ask("GET", path)
    return {"headers": [pair for pair in headers.items() if pair[0] not in OWN], "body": body.decode("latin-1")}


def _against(service: Service, plain: Web, path: str) -> Iterator[Figure]:
    asked, product, baseline = request("GET", path), list[Load](), list[Load]()
    for turn in range(ROUNDS):
        baseline.append(load(plain.port, asked, CONNECTIONS, SECONDS).require(200))
        product.append(load(service.port, asked, CONNECTIONS, SECONDS).require(200))
        rates = f"{product[-1].rate:,.0f}/s, bare {baseline[-1].rate:,.0f}/s"
        say(f"http: GET {path} round {turn + 1} of {ROUNDS}: {rates}")
    busiest = max(one.busy for one in [*product, *baseline])
    what = f"GET {path}, {product[0].length / 1000:.1f} kB, {CONNECTIONS} connections (client busy {busiest:.0%})"
    yield share_of(what, median(one.rate for one in product), median(one.rate for one in baseline), 0.8, "requests/s")


def _variants(service: Service) -> Iterator[Figure]:
    """Told for themselves: they have no baseline of the same bytes."""
    asked = [(f"{name} {path}", request(method, path, headers)) for path in PATHS for name, method, headers in VARIANTS]
    found: dict[str, list[Load]] = {what: [] for what, _ in asked}
    for turn in range(FEW):
        for what, sent in asked:
            found[what].append(load(service.port, sent, CONNECTIONS, 1))
        say(f"http: gzip, HEAD, If-None-Match round {turn + 1} of {FEW}")
    for what, some in found.items():
        statuses = Counter(status for one in some for status in Counter(one.statuses).elements())
        told = ", ".join(f"{count / statuses.total():.0%} {status}" for status, count in statuses.most_common())
        rate = median(one.rate for one in some)
        yield Figure(f"{what}, {some[0].length / 1000:.1f} kB, {told}", f"{number(rate)} requests/s")
