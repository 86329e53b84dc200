"""`simulate`: the options of the command line, checked, and what comes of them."""

import os
import random
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer
from redis.exceptions import RedisError
from rich.console import Console
from rich.progress import TimeElapsedColumn

from bot.cli.duration import read_duration
from bot.cli.environment import secret
from bot.cli.failure import INTERRUPTED, MISUSED, Failure
from bot.cli.open_files import allow_open_files
from bot.cli.progress import progress_bar
from bot.cli.running import run
from bot.embedded.binary import EmbeddedError
from bot.orders.base import OrderSystemAway
from bot.shopfile import DEMO, BadShopFile, load, load_changes
from bot.simulate.busy.hours import Hours, with_people
from bot.simulate.busy.shop import keep_busy
from bot.simulate.gateways import GatewayFailed
from bot.simulate.mix import Answer, BadMix, Mix, read_mix
from bot.simulate.report import Figures
from bot.simulate.simulation import Plan, simulate
from bot.simulate.town import Town, Unplayable, own_town, running_town

ANSWERS = "agree=60,reject=20,ignore=10,refund=10"
BUSY_ANSWERS = "agree=50,reject=20,ignore=10,refund=10,withdraw=10"
NEGOTIATIONS = 200
GATEWAYS = 2
WINDOW = timedelta(seconds=3)


def _mix(text: str) -> Mix:
    try:
        return read_mix(text)
    except BadMix as bad:
        raise ValueError(str(bad)) from bad


def simulate_command(
    shop: Annotated[Path, typer.Option(help="The shop file to play with.", show_default="the demo shop")] = DEMO,
    changes: Annotated[
        Path | None,
        typer.Option(help="Changes to propose, one JSON object a line, and to agree to where a card is shown."),
    ] = None,
    negotiations: Annotated[
        int | None, typer.Option(min=1, help="Random negotiations.", show_default=str(NEGOTIATIONS))
    ] = None,
    buyers: Annotated[
        int | None, typer.Option(min=1, help="Play the busy hours of a shop with so many buyers instead.")
    ] = None,
    agents: Annotated[int | None, typer.Option(min=1, help="Agents.", show_default="those of the shop file")] = None,
    answers: Annotated[
        Mix | None,
        typer.Option(parser=_mix, metavar="<shares>", help="What becomes of the cards.", show_default=ANSWERS),
    ] = None,
    answer_window: Annotated[
        timedelta | None,
        typer.Option(parser=read_duration, metavar="<time>", help="To answer a card.", show_default="3s"),
    ] = None,
    agent_limit: Annotated[
        int | None,
        typer.Option(
            min=1, help="With --buyers: conversations that an agent may have.", show_default="1.2 × buyers ÷ agents"
        ),
    ] = None,
    kill_gateway: Annotated[
        bool, typer.Option("--kill-gateway", help="With --buyers: kill a gateway in the middle, and replace it.")
    ] = False,
    in_flight: Annotated[int, typer.Option(min=1, help="Negotiations at once.")] = 50,
    two_devices: Annotated[
        int, typer.Option(min=0, max=100, help="Per cent of the buyers with two devices, which click at once.")
    ] = 25,
    cuts: Annotated[
        int, typer.Option(min=0, max=100, help="Per cent of the cards during which somebody's connection is cut.")
    ] = 0,
    gateways: Annotated[
        int | None, typer.Option(min=1, help="Gateways, each a process.", show_default=str(GATEWAYS))
    ] = None,
    cluster: Annotated[bool, typer.Option("--cluster", help="Keep everything in a Cluster of three nodes.")] = False,
    url: Annotated[
        list[str] | None, typer.Option(metavar="<ws://…/ws>", help="Gateways that run already; may be repeated.")
    ] = None,
    patience: Annotated[
        timedelta,
        typer.Option(parser=read_duration, metavar="<time>", help="To wait for a card that nobody settles."),
    ] = "30s",  # type: ignore[assignment]
    seed: Annotated[int | None, typer.Option(help="To make the same choices again.", show_default="random")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The figures as JSON, on the last line.")] = False,
) -> None:
    """Let simulated agents and buyers negotiate over real websockets, and check everything that everybody saw.

    Gateways are started for it, with a Valkey of their own, in a temporary folder; the agent and the buyer of a
    conversation are on different ones. It ends with status 1 if any promise was broken, and 2 if it can't be played.

    With --buyers a shop's busy hours are played instead of bare negotiations: buyers write in bursts, at first to an
    empty desk; agents come and go, are suspended, answer soon or too late, transfer and close; buyers come again; cards
    are asked for where orders can change. People and agents that the shop file lacks are made up. Grace, lease and
    reply times are a few seconds.

    The mix of --answers is of agree, reject, ignore (the card times out), refund (the order moves by itself: a paid
    one is refunded, an unpaid one is paid), withdraw, and transfer (to another agent, then the buyer agrees). A
    refunded order can't change any more, so at most half of the orders are; further refunds become agrees.

    With --url the shop must be imported there already. ASSENT_SECRET must be that of the gateways, and for refunds
    REDIS_URL too, as orders move behind the gateways' back.

    For example:

      python -m bot simulate --negotiations 1000 --answers agree=50,reject=20,withdraw=10,transfer=20
      python -m bot simulate --shop shop.json --changes changes.jsonl --cluster --json
      python -m bot simulate --shop shop.json --url ws://127.0.0.1:8080/ws --answers agree=70,reject=30
      python -m bot simulate --buyers 500 --agents 10 --cuts 20 --kill-gateway
    """
    if changes and (negotiations or answers):
        raise typer.BadParameter("--changes plays and agrees to every row: leave out --negotiations and --answers")
    if url and (gateways or cluster or answer_window):
        raise typer.BadParameter("--url is for gateways that run: leave out --gateways, --cluster, --answer-window")
    if buyers and (changes or negotiations or url):
        raise typer.BadParameter("--buyers plays a busy shop of its own: leave out --negotiations, --changes and --url")
    if (agent_limit or kill_gateway) and not buyers:
        raise typer.BadParameter("--agent-limit and --kill-gateway are for a busy shop: give --buyers too")
    if buyers and answers and answers.has(Answer.TRANSFER):
        raise typer.BadParameter("In a busy shop conversations are transferred anyway: leave transfer out of --answers")
    played_seed = random.randrange(2**32) if seed is None else seed
    try:
        file = load(shop)
        if buyers:
            hours = Hours(
                file=with_people(file, buyers, agents or 1),
                buyers=buyers,
                agents=agents or len(file.agents) or 1,
                mix=answers or read_mix(BUSY_ANSWERS),
                window=answer_window or WINDOW,
                two_devices=two_devices,
                cuts=cuts,
                kill_gateway=kill_gateway,
                patience=patience,
                seed=played_seed,
                agent_limit=agent_limit,
            )
            _end(_keep_busy(hours, gateways or GATEWAYS, cluster), as_json)
            return
        plan = Plan(
            file=file,
            rows=load_changes(changes) if changes else None,
            negotiations=negotiations or NEGOTIATIONS,
            mix=answers or read_mix(ANSWERS),
            agents=agents,
            in_flight=in_flight,
            two_devices=two_devices,
            cuts=cuts,
            patience=patience,
            seed=played_seed,
        )
        town = (
            _running_town(plan, tuple(url))
            if url
            else own_town(plan.file, gateways=gateways or GATEWAYS, cluster=cluster, window=answer_window or WINDOW)
        )
        _end(_play(plan, town), as_json)
    except (BadShopFile, EmbeddedError, GatewayFailed, Unplayable) as error:
        raise Failure(str(error), MISUSED) from error
    except (RedisError, OrderSystemAway, ConnectionError) as error:
        raise Failure(f"The connection was lost: {error}", MISUSED) from error


def _end(report: Figures, as_json: bool) -> None:
    report.show(Console())
    if as_json:
        typer.echo(report.to_json())
    if report.violations:
        raise typer.Exit(1)


def _running_town(plan: Plan, urls: tuple[str, ...]) -> AbstractAsyncContextManager[Town]:
    redis_url = os.environ.get("REDIS_URL")
    if plan.rows is None and plan.mix.has(Answer.REFUND) and not redis_url:
        raise Unplayable(
            "A refund moves an order behind the gateways' back, in their embedded shop: set REDIS_URL to theirs, or "
            "leave refund out (--answers agree=70,reject=20,ignore=10)."
        )
    return running_town(urls, secret(), redis_url)


def _play(plan: Plan, town: AbstractAsyncContextManager[Town]) -> Figures:
    return _run(town, plan.seed, plan.cases, lambda place, progress: simulate(plan, place, progress))


def _keep_busy(hours: Hours, gateways: int, cluster: bool) -> Figures:
    town = own_town(hours.file, gateways=gateways, cluster=cluster, window=hours.window, settings=hours.environment())
    return _run(town, hours.seed, hours.buyers, lambda place, progress: keep_busy(hours, place, progress))


def _run(
    town: AbstractAsyncContextManager[Town],
    seed: int,
    total: int,
    playing: Callable[[Town, Callable[[], None]], Awaitable[Figures]],
) -> Figures:
    """The report. Raises what is raised while playing, and Failure when a signal broke it off."""
    allow_open_files(65536)
    reports: list[Figures] = []

    async def play() -> None:
        with progress_bar(TimeElapsedColumn()) as progress:
            task = progress.add_task(f"seed {seed}", total=total)
            async with town as place:
                reports.append(await playing(place, lambda: progress.advance(task)))

    if not run(play()):
        raise Failure("Stopped before the end.", INTERRUPTED)
    return reports[0]
