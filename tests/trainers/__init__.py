"""Runs the real training scripts of kohya's sd-scripts and musubi-tuner on tiny random models, as a user would."""
