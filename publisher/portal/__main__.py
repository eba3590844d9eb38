"""`python -m publisher.portal STATE`: serve a portal."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from publisher.errors import PublisherError
from publisher.portal.server import serve


def main() -> int:
    """Parse, serve, and say in one line what went wrong."""
    parser = argparse.ArgumentParser(prog="python -m publisher.portal", description="Serve an open data portal.")
    parser.add_argument("state", type=Path, help="the folder that holds the portal's data")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8311, help="port to listen on; 0 chooses a free one")
    parser.add_argument("--public-url", help="the address under which the public reaches the portal")
    parser.add_argument("--ready-file", type=Path, help="file that gets the address once the portal answers")
    given = parser.parse_args()
    try:
        serve(given.state, host=given.host, port=given.port, public_url=given.public_url, ready_file=given.ready_file)
    except PublisherError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
