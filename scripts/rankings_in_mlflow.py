"""Print where MLflow's UI, started next, shows the rankings of a store; used by `make ui`."""

import sys
from itertools import islice

from cifar_exp import tracking
from cifar_exp.display import console

MOST = 5

uri = tracking.resolve_uri(None)
if tracking.exists(uri) and not tracking.is_server(uri):
    experiments = tracking.ranked_experiments(tracking.connect_to_read(uri))
    newest = dict(islice(experiments.items(), MOST))
    console.print_rankings(console.stdout(), sys.argv[1], newest)
