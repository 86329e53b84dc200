"""What people were promised to read, to the letter (R9): written down here by hand, and taken from nowhere else."""

LABELS = {
    "pending": "待处理",
    "agreed": "已同意",
    "rejected": "已拒绝",
    "timed_out": "已超时",
    "invalid": "已失效",
    "applying": "已同意 · 处理中",
    "withdrawn": "已撤回",
}
"""What a card is called in each state."""
NOTICES = {
    "agreed": "用户已同意修改规格",
    "rejected": "用户拒绝修改规格",
    "timed_out": "用户超时未处理改规格申请",
    "invalid": "订单已不支持修改规格，改规格申请失效",
}
"""What the agent is told of an outcome; of a withdrawal, which is their own, nothing."""
