"""One execution of an experiment: what is left, in which order, who trains it, what is recorded."""
