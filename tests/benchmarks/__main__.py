"""Runs the benchmarks and shows the table; `--write` puts it into BENCHMARKS.md."""

import argparse
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator

from tests.benchmarks import collection, ingest, latency, memory, reads, soak, start, writes
from tests.benchmarks.figures import HEAD, ROOT, Figure, Others, disk, machine, say, shown_disk, table, today

Subject = Callable[[], Iterable[Figure]]
SUBJECTS: dict[str, Subject] = {
    "collection": collection.collection,
    "http": reads.http,
    "post": writes.post,
    "csv": ingest.csv,
    "start": start.start,
    "memory": memory.memory,
    "answers": latency.answers,
    "cache": latency.cache,
}
PAGE = ROOT / "BENCHMARKS.md"
BEGINS, ENDS = "<!-- figures of {} -->", "<!-- end of {} -->"


def main() -> None:
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))  # so that what was started is ended too
    chosen: dict[str, Subject] = {name: SUBJECTS[name] for name in options.subjects or SUBJECTS}
    if options.soak is not None:
        chosen = {"soak": lambda: soak.soak(options.soak)}
    about, before, others = f"{today()}, {machine()}", shown_disk(disk()), Others()
    say(f"{about}, {before}")
    found = list(_measured(chosen))
    print(f"\n{table(figure.cells() for figure in found)}\n")
    missed = [figure.what for figure in found if figure.met is False]
    aims = sum(figure.met is not None for figure in found)
    meanwhile = f"Other work used {others.share():.0%} of it meanwhile"
    about = f"{about}. {meanwhile}. Disk before: {before}; after: {shown_disk(disk())}."
    print(f"{aims - len(missed)} of {aims} aims met. {about}")
    print("Medians of rounds that alternate with the baseline; other work on the machine moves absolute figures.")
    if options.write:
        _write("soak" if options.soak is not None else "bench", found, about)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("subjects", nargs="*", metavar="SUBJECT", help=f"{', '.join(SUBJECTS)}; all if none is named")
    parser.add_argument("--soak", nargs="?", type=float, const=10, metavar="MINUTES", help="a long run instead (10)")
    parser.add_argument("--write", action="store_true", help=f"put the figures into {PAGE.name}")
    options = parser.parse_args()
    unknown = [name for name in options.subjects if name not in SUBJECTS]
    if unknown:
        parser.error(f"there is no subject {', '.join(unknown)}; there are {', '.join(SUBJECTS)}")
    return options


def _measured(chosen: dict[str, Subject]) -> Iterator[Figure]:
    for name, measure in chosen.items():
        began = time.monotonic()
        try:
            yield from measure()
        except Exception as error:  # the other subjects are still worth their figures
            traceback.print_exc()
            yield Figure(name, f"failed: {error!r:.200}", aim="a figure", met=False)
        say(f"{name}: done in {time.monotonic() - began:.0f} s")


def _write(part: str, found: list[Figure], about: str) -> None:
    """Puts the figures where the last ones of this part stood."""
    begins, ends = BEGINS.format(part), ENDS.format(part)
    lines = [f"| {' | '.join(cells)} |" for cells in (HEAD, ["---"] * len(HEAD), *(one.cells() for one in found))]
    head, _, rest = PAGE.read_text().partition(begins)
    tail = rest.partition(ends)[2]
    PAGE.write_text(f"{head}{begins}\n{about}\n\n" + "\n".join(lines) + f"\n{ends}{tail}")
    say(f"wrote {PAGE.name}")


if __name__ == "__main__":
    main()
