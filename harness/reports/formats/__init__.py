"""The scorecard in the formats that other tools read; one file per format, a pure function each, nothing is uploaded."""

#: What ``fidelity report --format`` takes for a comparison; named here so that a command line knows them without loading any.
FORMATS = ("json", "html", "md", "junit", "badge", "shields", "csv", "parquet", "model-card", "every-eval-ever")
#: For a task run, and for an audit.
TASK_FORMATS = ("json", "html", "eval-results")
AUDIT_FORMATS = ("json", "html")
