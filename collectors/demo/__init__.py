"""Demo: a simulated line that works through the public commands, with weeks of history from the first minute."""

from collectors.demo.line import begin
from exporter.contract import Collector, Job, Setting

COLLECTOR = Collector(
    name="demo",
    summary="Demo: a simulated line that works through the public commands; off unless demo is set.",
    settings=(
        Setting(
            "demo", "bool", False, "Feeds a simulated line, in a throw-away database unless one is named.",
            flag="--demo", throwaway=True,
        ),
        Setting("demo_seed", "int", 1, "The same seed tells the same history.", minimum=0),
        Setting("demo_days", "int", 28, "Days of history that it begins with.", minimum=1, maximum=365),
        Setting("demo_pace", "float", 40.0, "How many times faster it goes on.", minimum=1, maximum=1000),
    ),
    jobs=(Job("demo", 250, begin),),
)  # fmt: skip
