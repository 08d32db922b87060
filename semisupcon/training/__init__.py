"""Training with Lightning: `Objective`, callbacks, loggers, run folders, optimizers, schedules."""
