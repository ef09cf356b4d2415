"""The words that all collectors share: the stages of the line, in order, and their other names."""

from exporter.errors import Invalid
from exporter.settings import Settings


def stage(settings: Settings, text: str, field: str = "stage") -> str:
    """The canonical name. Raises: Invalid for what is neither a stage nor an alias of one."""
    name: str = settings["stage_aliases"].get(text, text)
    if name not in settings["stages"]:
        known = ", ".join([*settings["stages"], *settings["stage_aliases"]])
        raise Invalid(f"{field}: expected one of {known}, got {text!r}", field=field)
    return name
