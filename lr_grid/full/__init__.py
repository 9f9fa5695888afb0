"""The grid in full fine-tuning: on the bare tensors that a trainer's script hands its optimizer.

``attach.attach`` is the way in; lr_grid.optim's optimizers take it when --optimizer_args hold settings of a grid,
``lr-grid launch`` for what no optimizer can reach.
"""
