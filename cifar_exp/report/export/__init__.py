"""The trainings of an experiment as files for other programs: tables in CSV, TensorBoard."""
