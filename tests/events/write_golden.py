"""Write the golden examples that are missing. Never touches one that is there: what was written stays readable."""

from __future__ import annotations

from tests.events.examples import EXAMPLES
from tests.events.test_golden import GOLDEN
from watson.events import encode_value

if __name__ == "__main__":
    for kind, event in EXAMPLES.items():
        path = GOLDEN / f"{kind}.v{event.version}.json"
        if not path.exists():
            path.write_bytes(encode_value(event) + b"\n")
