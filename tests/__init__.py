"""The tests mirror `watson/`; `tests/services` starts the real servers they run on."""
