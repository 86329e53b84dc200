"""Another shop through the same gateways, with people of its own, whom nobody here must ever hear of."""

from bot.client import CommandFailed
from bot.conversation import conversation_id
from bot.simulate.busy.evidence import Notebook
from bot.simulate.people import People

_ROUNDS = 5


class Neighbour:
    """One agent and one buyer who talk. They are called as people of the busy shop might be."""

    def __init__(self, people: People, shop_id: str) -> None:
        self._people = people
        self._shop_id = shop_id
        self.notebooks = [
            Notebook(f"next door's {role}", role, "sim-next-door", shop_id) for role in ("agent", "buyer")
        ]
        self.errors: list[str] = []

    async def play(self) -> None:
        """They say good day a few times, read it, and end."""
        try:
            await self._talk()
        except (CommandFailed, TimeoutError) as failed:
            self.errors.append(f"next door: {failed or 'no answer in time'}")

    async def _talk(self) -> None:
        agent_book, buyer_book = self.notebooks
        agent = await self._people.device("agent", "sim-next-door", 1, 0, agent_book, shop_id=self._shop_id)
        buyer = await self._people.device("buyer", "sim-next-door", 1, 1, buyer_book, shop_id=self._shop_id)
        id = conversation_id(self._shop_id, "sim-next-door")
        for number in range(_ROUNDS):
            await buyer.client.say(id, f"good day, neighbour {number}")
            await agent.client.wait_for(lambda: agent.client.logs.get(id))
            await agent.client.say_typing(id)
            await agent.client.say(id, f"good day to you {number}")
            await buyer.client.read(id)
        await agent.client.close_conversation(id)
