"""Agents: one short Faust module a role, the one loop that drives them, and the corrected transport."""
