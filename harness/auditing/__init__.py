"""An endpoint held against its reference by the text that it writes: ask, score under the bank, weigh, judge."""

from harness.auditing.audit import AuditRequest, audit_endpoint, judge_again
from harness.auditing.store import AuditFolder

__all__ = ["AuditFolder", "AuditRequest", "audit_endpoint", "judge_again"]
