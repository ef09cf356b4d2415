"""The tests mirror the code; the folders below need no __init__.py (see import-mode in setup.cfg)."""
