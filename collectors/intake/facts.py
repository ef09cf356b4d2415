"""What doors report when they are done."""

import msgspec

from exporter.contract import FactKind


class ImportFinished(msgspec.Struct, gc=False):
    """Rows by outcome. An import that changed anything lets counters fall to their true values, once."""

    source: str
    accepted: int
    duplicates: int
    rejected: int


KINDS = (
    FactKind(
        "intake.import_finished", ImportFinished, "A door took in a file.", "intake", "import_finished",
        rebases=lambda fact: fact.accepted > 0,
    ),
)  # fmt: skip
