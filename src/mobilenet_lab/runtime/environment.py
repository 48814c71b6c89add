"""What the scripts share: paths without quoting, errors as one line, sweeps as processes of their own."""

SIGNALS_FORWARDED = "MOBILENET_LAB_SIGNALS_HANDED_ON"  # tells a job that a sweep hands its signals on
OVERRIDES_VARIABLE = "MOBILENET_LAB_SETTINGS"  # for ranks that are started with others
STARTED_BY = (
    "MOBILENET_LAB_STARTED_BY"  # the process that started this rank, for one that dies before we look
)
