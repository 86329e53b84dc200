"""`python -m bot …`: the command line. Law: it only names the commands; each lives in a module of its own."""

import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import typer

from bot.cli.chat import chat_command
from bot.cli.failure import exit_status
from bot.cli.importing import import_command
from bot.cli.serve import serve_command
from bot.cli.token import token_command
from bot.demo.command import demo_command
from bot.simulate.command import simulate_command

_BEGIN = """[bold]To look around[/]
  python -m bot demo               a whole shop on this machine
  python -m bot chat --as xiaoyu   be one of its agents
  python -m bot simulate           many people, and all they saw checked

[bold]In production[/]
  export REDIS_URL=redis://127.0.0.1:6379/0
  export ASSENT_SECRET=$(openssl rand -hex 32)
  python -m bot import shop.json   a shop's people, products and orders
  python -m bot serve              a gateway; start as many as you like
  python -m bot token --role agent --id li-lei --shop tea --name 李雷"""

app = typer.Typer(
    help="Assent: may I change the spec of your order? Asked once, decided once, told once.",
    epilog=_BEGIN,
    rich_markup_mode="rich",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("demo")(demo_command)
app.command("chat")(chat_command)
app.command("serve")(serve_command)
app.command("token")(token_command)
app.command("import")(import_command)
app.command("simulate")(simulate_command)


def _show_version(wanted: bool) -> None:
    if wanted:
        try:
            typer.echo(version("assent"))
        except PackageNotFoundError:
            typer.echo("a checkout, not installed")
        raise typer.Exit


@app.callback()
def _options(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None: ...


def main() -> None:
    """The program `assent`."""
    sys.exit(exit_status(lambda: app(standalone_mode=False)))


if __name__ == "__main__":
    main()
