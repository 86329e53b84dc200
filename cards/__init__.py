"""What is negotiated: orders, the rules of a change, the proposal and its card. Pure: no I/O, no clock."""
