"""The process and the machine: errors, files, threads, signals, ranks, and what depends on internals."""
