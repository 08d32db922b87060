"""The training loop: the LightningModule, callbacks, loggers, run folders, optimizers and
schedules.
"""
