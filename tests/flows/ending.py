"""How a card ends: on both sides, once, and the agent is told."""

from bot.client import Frame
from tests.flows.scene import Scene
from tests.words import LABELS, NOTICES


async def ended(scene: Scene, card: Frame, state: str) -> None:
    """Both sides see that end, once; the agent got its notice, and of it the buyer a seq and nothing else."""
    for client in (scene.agent, scene.buyer):
        shown = await scene.sees(client, card, state)
        assert (shown["label"], shown["buttons"]) == (LABELS[state], [])
        assert shown["settled_ms"] >= shown["created_ms"]
    await scene.settled_work()
    await scene.caught_up()
    assert scene.outcomes(scene.agent, card) == scene.outcomes(scene.buyer, card) == [state]
    told = scene.notices(scene.agent, card)
    assert [(notice["code"], notice["text"]) for notice in told] == (
        [(state, NOTICES[state])] if state in NOTICES else []
    )
    assert scene.notices(scene.buyer) == []
    assert [entry["seq"] for entry in scene.log(scene.buyer)] == [entry["seq"] for entry in scene.log(scene.agent)]
