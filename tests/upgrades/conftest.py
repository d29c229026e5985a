from tests.limits.conftest import line, settings

__all__ = ["line", "settings"]
