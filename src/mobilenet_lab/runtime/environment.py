"""Environment variables that the project's processes pass to each other."""

SIGNALS_FORWARDED = "MOBILENET_LAB_SIGNALS_FORWARDED"  # set for a job whose sweep forwards signals
OVERRIDES_VARIABLE = "MOBILENET_LAB_OVERRIDES"  # the user's overrides, for ranks and sweep jobs
STARTED_BY = "MOBILENET_LAB_STARTED_BY"  # process id of rank 0, which may die before this rank looks
