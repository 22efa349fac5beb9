-- Optuna's database, beside MLflow's: both have a table `alembic_version`.
CREATE DATABASE optuna;
