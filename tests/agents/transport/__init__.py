"""Tests of the corrected Faust transport."""
