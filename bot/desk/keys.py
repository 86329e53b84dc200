"""The names of what a shop's desk keeps in Redis. Law: they share one hash tag, so one script reaches all of them."""


def desk_key(shop_id: str, name: str) -> str:
    """The key of one of the desk's indexes."""
    return f"desk:{{{shop_id}}}:{name}"


def waiting_key(shop_id: str) -> str:
    """The zset of a shop's waiting conversations, after which scripts name all other keys of its desk."""
    return desk_key(shop_id, "waiting")


def inbox_key(shop_id: str, agent_id: str) -> str:
    """The zset of an agent's conversations; without an agent's id what those keys begin with."""
    return desk_key(shop_id, f"inbox:{agent_id}")
