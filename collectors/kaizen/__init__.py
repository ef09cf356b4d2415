"""Kaizen: whether the line improves, week over week. No improvement is measured yet, so all of it reads "no data"."""

from collectors.kaizen.view import Kaizen, KaizenDocument
from exporter.contract import DAY, Collector, Document, Setting

COLLECTOR = Collector(
    name="kaizen",
    summary="Kaizen: whether the line improves, week over week.",
    view=Kaizen,
    document=Document(KaizenDocument, window="windows.waste"),
    settings=(Setting("windows.waste", "duration", 30 * DAY, "How far back waste is looked for.", above=0),),
)
