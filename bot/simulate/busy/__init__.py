"""A shop's busy hours: buyers in bursts, agents who come and go, and a checker of everything that must hold then."""
