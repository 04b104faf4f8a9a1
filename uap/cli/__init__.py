"""The command line: settings, help, errors and exit codes, arguments that commands share."""
