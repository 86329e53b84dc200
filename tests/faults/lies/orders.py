"""Lies about orders: changes that nobody asked for or agreed to, and goods from nowhere."""

from tests.faults.lies.run import Run, lie


@lie("asked", "order")
def agreed_and_never_asked(run: Run) -> None:
    card = run.card("agreed")
    del run.final.changes[card["order_id"]][card["id"]]


@lie("asked", "order")
def agreed_and_refused(run: Run) -> None:
    card = run.card("agreed")
    run.final.changes[card["order_id"]][card["id"]].update(taken=False, reason="stock_gone")


@lie("asked")
def asked_without_a_consent(run: Run) -> None:
    card = run.card("rejected")
    result = {"taken": False, "reason": "stock_gone", "order_version": 1}
    run.final.changes.setdefault(card["order_id"], {})[card["id"]] = result


@lie("asked", "order")
def a_change_of_nobody(run: Run) -> None:
    run.final.changes["chen-mo-paid"]["nobodys"] = {"taken": True, "reason": None, "order_version": 2}


@lie("order")
def another_price(run: Run) -> None:
    run.final.orders_after["lin-wan-unpaid"]["lines"][0]["unit_price_cents"] += 1


@lie("order", "stock")
def another_sku(run: Run) -> None:
    run.final.orders_after["chen-mo-paid"]["lines"][0]["sku_id"] = "white-s"


@lie("order")
def an_order_moves_by_itself(run: Run) -> None:
    run.final.orders_after["chen-mo-paid"]["version"] += 1


@lie("order")
def a_move_that_left_nothing(run: Run) -> None:
    run.find("moved", order_id="lin-wan-two-lines")[0].data["version"] = 7


@lie("stock")
def a_piece_too_many(run: Run) -> None:
    run.final.stock_after["white-s"] += 1
