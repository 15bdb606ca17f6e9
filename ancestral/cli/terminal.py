"""What the commands print to."""

from rich.console import Console


def console() -> Console:
    """The terminal; made anew, since tests and pipes replace standard output."""
    screen = Console(highlight=False)
    return screen if screen.is_terminal else Console(highlight=False, width=100)


def resuming(command: str) -> str:
    """The command that goes on with the run that `command` began."""
    return f"{command.replace(' --overwrite', '').replace(' --resume', '')} --resume"
