"""`python -m publisher.portal STATE`: run the portal."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from publisher.errors import PublisherError
from publisher.portal.server import serve
from publisher.portal.serving.options import Serving, options


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.argument("state", type=click.Path(path_type=Path))
@options
def main(state: Path, **given: Any) -> None:
    """Run the open data portal on the data in the folder STATE."""
    try:
        serve(state, Serving.of(**given))
    except PublisherError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main(prog_name="python -m publisher.portal")
