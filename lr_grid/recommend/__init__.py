"""Where to start with the base LR: LRTool's published model, rules with their sources, a Prodigy probe."""
