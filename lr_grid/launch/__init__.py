"""``lr-grid launch``: a training command as it stands, with a grid on the optimizer that the trainer makes.

For what no --optimizer_type can reach: --fused_backward_pass takes Adafactor alone and moves each tensor by itself.
"""
