"""The command line of all commands: settings, help pages, errors, exit codes, and shared arguments."""
