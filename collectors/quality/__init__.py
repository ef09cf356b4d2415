"""Quality: what the gates say of the SKUs. No gate result is taken in yet, so all of it reads "no data"."""

from collectors.quality.view import TARGETS, Quality, QualityDocument
from exporter.contract import DAY, Collector, Document, Setting

COLLECTOR = Collector(
    name="quality",
    summary="Quality: what the gates say of the SKUs.",
    view=Quality,
    document=Document(QualityDocument, window="windows.quality"),
    settings=(
        Setting("windows.quality", "duration", 7 * DAY, "How far back pass rates and yields look.", above=0),
        *(
            Setting(f"targets.{name}", "float", target, f"The target of {name}.", minimum=0, maximum=1)
            for name, target in TARGETS.items()
        ),
    ),
)
