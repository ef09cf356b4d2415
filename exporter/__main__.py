"""The command's entry: gevent patches the standard library before anything else is imported."""

from gevent import monkey

monkey.patch_all()

from exporter.cli import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
