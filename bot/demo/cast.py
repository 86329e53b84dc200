"""The demo's simulated buyers: what each of them wants, says, and makes of a card.

Law: they are people of bot/demo/shop.json, and never do what the rules would not let a buyer do.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Temper = Literal["agree", "reject", "ignore"]


@dataclass(frozen=True, slots=True)
class Persona:
    """One simulated buyer.

    `tempers` is what they do with their first card, their second and so on, the last one also with all after it. One
    who would agree still rejects a card for another SKU than those they `want`, saying `no`. `arrives` is when they
    first write, in seconds after the demo's first start.
    """

    id: str
    arrives: float
    opening: tuple[str, ...]
    tempers: tuple[Temper, ...]
    no: str
    wants: frozenset[str] = frozenset()
    replies: tuple[str, ...] = ("好的", "嗯嗯，麻烦您了", "是的", "可以的，谢谢")
    after: Mapping[str, str] = field(default_factory=dict)
    """What they say once a card of theirs came to that state."""


_THANKS = {"agreed": "好的，谢谢！", "timed_out": "抱歉刚才在忙，没看到消息", "invalid": "啊，怎么失效了？"}

CAST = (
    Persona(
        "chen-mo",
        3,
        ("你好，我昨天拍的抹茶色四件套，尺寸选错了", "床是2.0米的，能帮我从1.5米换成2.0米吗？订单QM1019"),
        ("agree",),
        "不是这个哦，我要抹茶色2.0米的",
        frozenset({"bedding-matcha-20"}),
        ("对，就是QM1019这单", "好的，等您消息", "嗯嗯"),
        _THANKS,
    ),
    Persona(
        "zhou-ning",
        12,
        ("在吗？我买的雾蓝衬衫还没发货吧", "想换成本白M码，可以吗"),
        ("ignore",),
        "先不换了",
        replies=("稍等，我去开个会", "嗯"),
    ),
    Persona(
        "su-qing",
        25,
        ("老板，挂耳咖啡我点成云南的了，想要埃塞的那款，10包装不变", "两盒都换，还没发货呢"),
        ("reject", "agree"),
        "想了想，还是先喝云南的吧，不换了",
        replies=("是QM1021那单", "好呀", "谢谢您，服务真好"),
        after=_THANKS,
    ),
    Persona(
        "he-tian",
        45,
        ("您好，铸铁锅能换成带木盖的那套吗？24cm的", "听说带盖的贵一些，我要补差价吗？"),
        ("agree",),
        "我要24cm带木盖的那款",
        frozenset({"pan-24-lid"}),
        ("真的不用补吗？那太好了", "好的好的", "嗯，麻烦尽快"),
        {**_THANKS, "agreed": "不用补差价，太感谢了！"},
    ),
    Persona(
        "tang-li",
        70,
        ("咖啡还没付款，想换成云南日晒的20包", "价格是一样的吧？"),
        ("agree",),
        "不是这款，我想要云南日晒20包",
        frozenset({"coffee-yunnan-20"}),
        ("好的，改完我就付款", "嗯嗯"),
        {**_THANKS, "agreed": "收到，我这就去付款"},
    ),
    Persona(
        "gu-nan",
        100,
        ("龙井我想换成50g的尝鲜装，一个人喝不完", "已经付过款了，多的钱能退吗"),
        ("reject",),
        "算了，还是要原来的125g吧",
        replies=("啊，便宜的不能直接改吗", "那我先退款再重新拍？", "明白了，谢谢"),
    ),
    Persona(
        "xu-an",
        130,
        ("餐椅想换胡桃色的，单把", "另外羽绒服的定金单能换颜色吗？"),
        ("ignore", "agree"),
        "颜色不对，我要胡桃色",
        frozenset({"chair-walnut-1"}),
        ("好吧，那就只换椅子", "嗯嗯，好的", "可以"),
        {**_THANKS, "timed_out": "不好意思刚看到，能再发一次吗？"},
    ),
)

UNPLAYED = "lin-wan"
"""The buyer left for the user to be."""
FIRST_ORDER = "QM1023"
FIRST_WORDS = f"你好，{FIRST_ORDER}的米白T恤还没发货吧？想换成炭灰色，M码不变，可以吗？"
"""What she has said by herself, so that there is a conversation to go on with."""

SUPERVISOR = ("an-lan", "安澜")
"""Who looks after the shop's agents: id and name."""
