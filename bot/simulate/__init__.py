"""Simulated agents and buyers over real websockets, and a checker that judges afterwards what everybody saw."""
