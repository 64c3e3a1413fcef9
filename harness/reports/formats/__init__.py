"""The scorecard in the formats that other tools read; one file per format, a pure function each, nothing is uploaded."""

#: What ``fidelity report --format`` takes, named here so that a command line knows them without loading any.
FORMATS = ("json", "html", "md", "junit", "badge", "shields", "csv", "parquet", "model-card", "every-eval-ever")
