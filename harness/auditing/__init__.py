"""An endpoint held against its reference by the text that it writes: ask, score under the bank, weigh, judge."""

from harness.auditing.audit import AuditRequest, audit_endpoint

__all__ = ["AuditRequest", "audit_endpoint"]
