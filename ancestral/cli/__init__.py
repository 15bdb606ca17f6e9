"""The command line, a subcommand a file. `main` decides; nothing heavy is imported before a subcommand is chosen."""
