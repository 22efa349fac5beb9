"""One execution of an experiment: remaining work, scheduling, executors, recording and resume."""
