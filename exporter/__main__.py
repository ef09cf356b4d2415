"""The command's entry: gevent patches the standard library before anything else is imported."""

from gevent import monkey

monkey.patch_all()

import sys


def main() -> None:
    try:
        from exporter.cli import main as run  # here, so that Ctrl-C while it is imported ends it without a traceback

        run()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
