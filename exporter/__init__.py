"""The host of tcps-exporter: it keeps facts, folds them into views and serves the numbers as metrics, documents
and streams. It knows facts, documents, metrics, time and streams, and no subsystem by name: those are the plugins
in `collectors`, found by the entry points of setup.cfg. This module imports nothing, so that `__main__` can patch
for gevent before anything else is loaded.
"""

__version__ = "0.1.0"
