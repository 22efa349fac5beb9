#!/bin/sh
# Starts MLflow's server:
#   server.sh ARTIFACTS [PORT]
# Runs are in the database MLFLOW_BACKEND_STORE_URI, a variable, as every user can see the words of a
# command. Files are in the folder ARTIFACTS; clients send and get them through the server.
set -eu
export MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false # 13 processes and 2.5 GB that nothing here uses
exec mlflow server --host 0.0.0.0 --port "${2:-5000}" --workers 1 --artifacts-destination "$1"
