#!/bin/sh
# Installs cifar_exp and the driver of PostgreSQL into a new virtual environment:
#   install.sh FOLDER [INDEX]
# INDEX is a package index with another build of torch, such as that for CPUs.
set -eu
venv=$1
index=${2:-}
cd "$(dirname "$0")/.."
python3 -m venv "$venv"
if [ -n "$index" ]; then
    # Without what torch needs, as the index has other versions of that than constraints.txt.
    "$venv/bin/pip" install --no-cache-dir --constraint constraints.txt --no-deps --index-url "$index" torch torchvision
fi
"$venv/bin/pip" install --no-cache-dir --constraint constraints.txt '.[postgresql]'
