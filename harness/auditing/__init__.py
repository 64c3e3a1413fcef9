"""An endpoint held against its reference by the text that it writes: ask, score under the bank, weigh, judge."""

from harness.auditing.audit import audit_endpoint, audit_replies, judge_again
from harness.auditing.preparing import AuditRequest
from harness.auditing.store import AuditFolder

__all__ = ["AuditFolder", "AuditRequest", "audit_endpoint", "audit_replies", "judge_again"]
