"""Intake: the doors through which foreign formats come in, each translated into commands."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from collectors.intake import csv_door
from collectors.intake.facts import KINDS, ImportFinished
from exporter.contract import (
    Collector,
    Command,
    Counter,
    Door,
    Fact,
    Metric,
    Reading,
    Settings,
    Struct,
    Transaction,
    View,
)

OUTCOMES = ("accepted", "duplicate", "rejected")


class Finish(Struct):
    source: str
    accepted: int
    duplicates: int
    rejected: int


def finish_import(tx: Transaction, body: Finish) -> None:
    tx.emit("intake.import_finished", msgspec.convert(msgspec.structs.asdict(body), ImportFinished), tx.now)


class Intake(View):
    events: dict[str, Counter]

    def __init__(self, settings: Settings, since: int):
        self.events = {f"csv {outcome}": Counter() for outcome in OUTCOMES}

    def handlers(self) -> Mapping[str, Callable[[Fact], None]]:
        return {"intake.import_finished": self.finish}

    def finish(self, fact: Fact) -> None:
        data: ImportFinished = fact.data
        for outcome, count in zip(OUTCOMES, (data.accepted, data.duplicates, data.rejected), strict=True):
            self.events[f"{data.source} {outcome}"].add(count)

    def read(self, now: int, documents: Mapping[str, Any]) -> Reading:
        counted = {tuple(name.split(" ")): counter.highest for name, counter in self.events.items()}
        return Reading(values={"tcps_ingest_events_total": counted})


COLLECTOR = Collector(
    name="intake",
    summary="Intake: the doors through which foreign formats come in, each translated into commands.",
    facts=KINDS,
    commands=(Command("intake.finish_import", finish_import, Finish, "Says what a door took in."),),
    view=Intake,
    metrics=(
        Metric(
            "tcps_ingest_events_total", "counter", "Rows and deliveries that doors took in.", ("source", "outcome")
        ),
    ),
    doors=(
        Door(
            "csv", "A table of work orders, or an event log; gzip is read as it is.", csv_door.Options, csv_door.run,
            csv_door.Imported,
            example="import csv log.csv.gz --item case --activity activity --time timestamp --map Closed=completed",
        ),
    ),
)  # fmt: skip
