"""The shop of the tests, 南山小铺: few goods, and an order of every kind for each of two buyers."""

from bot.shopfile import ShopFile

NAMES = {"xiaoyu": "小雨", "ahe": "阿禾", "lin-wan": "林晚", "chen-mo": "陈默"}
SPECS = {
    "white-s": ("tee", {"颜色": "米白", "尺码": "S"}, 8900, 30),
    "white-m": ("tee", {"颜色": "米白", "尺码": "M"}, 8900, 30),
    "white-l": ("tee", {"颜色": "米白", "尺码": "L"}, 8900, 0),
    "green-m": ("tee", {"颜色": "墨绿", "尺码": "M"}, 9900, 30),
    "grey-m": ("tee", {"颜色": "炭灰", "尺码": "M"}, 7900, 30),
    "celadon": ("mug", {"釉色": "青釉"}, 5900, 30),
    "moon": ("mug", {"釉色": "月白"}, 5900, 30),
    "kiln": ("mug", {"釉色": "窑变"}, 7900, 30),
    "straw": ("mug", {"釉色": "素胎"}, 4900, 30),
}
"""Product, options, price in cents and stock of every SKU."""
ORDERS = {
    "paid": ("paid", {}, ["white-m"]),
    "two-lines": ("paid", {}, ["white-m", "celadon"]),
    "unpaid": ("unpaid", {}, ["white-m", "celadon"]),
    "shipped": ("shipped", {}, ["white-m"]),
    "presale": ("paid", {"deposit_presale": True}, ["white-m"]),
}
"""Status, whatever is special, and the SKUs of an order's lines, 1, 2, …; of tees one piece, of mugs two.

Every buyer has each of them, under the buyer's id and this name: `lin-wan-paid`.
"""


def shop_file() -> ShopFile:
    """The shop `nanshan`."""
    quantity = {"tee": 1, "mug": 2}
    return ShopFile.model_validate(
        {
            "shop": {"id": "nanshan", "name": "南山小铺", "currency": "CNY", "locale": "zh-CN"},
            "agents": [{"id": id, "name": NAMES[id]} for id in ("xiaoyu", "ahe")],
            "buyers": [{"id": id, "name": NAMES[id]} for id in ("lin-wan", "chen-mo")],
            "products": [
                {
                    "id": product,
                    "title": title,
                    "skus": [
                        {"id": sku, "options": options, "price_cents": price, "stock": stock}
                        for sku, (of, options, price, stock) in SPECS.items()
                        if of == product
                    ],
                }
                for product, title in (("tee", "重磅纯棉短袖"), ("mug", "手作马克杯"))
            ],
            "orders": [
                {
                    "id": f"{buyer}-{name}",
                    "buyer_id": buyer,
                    "status": status,
                    **special,
                    "lines": [
                        {
                            "id": str(number),
                            "product_id": SPECS[sku][0],
                            "sku_id": sku,
                            "quantity": quantity[SPECS[sku][0]],
                            "unit_price_cents": SPECS[sku][2],
                        }
                        for number, sku in enumerate(skus, start=1)
                    ],
                }
                for buyer in ("lin-wan", "chen-mo")
                for name, (status, special, skus) in ORDERS.items()
            ],
        }
    )
