"""``python -m watson`` is the command ``watson``."""

from watson.cli import main

if __name__ == "__main__":
    main()
