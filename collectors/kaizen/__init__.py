"""Kaizen: whether the line improves, week over week. No improvement is measured yet, so all of it reads "no data"."""

from collectors.kaizen.view import Kaizen, KaizenDocument
from exporter.contract import Collector, Document

COLLECTOR = Collector(
    name="kaizen",
    summary="Kaizen: whether the line improves, week over week.",
    view=Kaizen,
    document=Document(KaizenDocument, window="windows.waste"),
)
