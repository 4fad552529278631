"""The parts of a job spec: one module for each topic."""
