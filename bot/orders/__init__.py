"""The order system: the port that every shop's order system implements, and the shop that ships with the product."""
