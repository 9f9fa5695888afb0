"""A rehearsal of a training command: the trainer's own script, a few steps on the CPU, on a model without weights.

The parent (command.py, run.py, launch.py) needs no torch. The child (child.py and what it imports) runs in the
trainer's environment and leaves a report.
"""
