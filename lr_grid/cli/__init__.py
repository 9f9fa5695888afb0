"""The command line: ``lr-grid <command>``, one file a command."""
