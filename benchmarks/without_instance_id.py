"""``watson`` without static membership, whatever the environment says."""

from __future__ import annotations

import os

from watson.cli import main

if __name__ == "__main__":
    os.environ.pop("WATSON_GROUP_INSTANCE_ID", None)
    main()
