"""Runs the real training scripts of kohya's sd-scripts on tiny random models, as a user of the plugin would."""
