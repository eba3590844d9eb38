"""Writes the golden guarantees: `python tests/release/regenerate_goldens.py`. Read what changed before committing."""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from guarantee_examples import EXAMPLES, GOLDEN

from publisher.release.guarantee import guarantee
from publisher.release.guarantee_page import page
from publisher.release.statement import statement


def texts(name: str) -> dict[str, str]:
    """The three forms of one example, by file ending."""
    facts = EXAMPLES[name]()
    return {
        "json": json.dumps(guarantee(facts), indent=2, ensure_ascii=False) + "\n",
        "md": statement(facts),
        "html": page(facts, statement(facts)),
    }


def main() -> None:
    """All examples, and no file beside them."""
    GOLDEN.mkdir(exist_ok=True)
    for old in GOLDEN.iterdir():
        old.unlink()
    for name in EXAMPLES:
        for ending, text in texts(name).items():
            (GOLDEN / f"{name}.{ending}").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
