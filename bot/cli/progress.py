"""A progress bar on stderr, where that is a terminal. Law: it leaves no trace, there or in a file."""

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn


def progress_bar(time: ProgressColumn) -> Progress:
    """What is done, how much of it, and the `time` it took or will take; it is shown while its context is open."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), time)
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
