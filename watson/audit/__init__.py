"""Audits of jobs, and repairs of what they find."""

from watson.audit.check import audit
from watson.audit.findings import KINDS, Audit, Finding
from watson.audit.repair import Repair, repair

__all__ = ["KINDS", "Audit", "Finding", "Repair", "audit", "repair"]
