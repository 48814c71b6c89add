"""Environment variables that the project's processes pass to each other, and those of launchers."""

import os

SIGNALS_FORWARDED = "MOBILENET_LAB_SIGNALS_FORWARDED"  # set for a job whose sweep forwards signals
OVERRIDES_VARIABLE = "MOBILENET_LAB_OVERRIDES"  # the user's overrides, for ranks and sweep jobs
ERROR_FILE = "MOBILENET_LAB_ERROR_FILE"  # where a job leaves its error for the report of the sweep
STARTED_BY = "MOBILENET_LAB_STARTED_BY"  # process id of rank 0, which may die before this rank looks

# Set to a number above 0 by a launcher for every process but the first one of a run
RANK_VARIABLES = ("RANK", "LOCAL_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK", "NODE_RANK", "GROUP_RANK")


def is_first_rank() -> bool:
    """Return whether this process is the only one of a run or, before PyTorch is imported, its rank 0."""
    return all(os.environ.get(name, "0") in ("", "0") for name in RANK_VARIABLES)
