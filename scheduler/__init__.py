"""When things happen: durable timers that know ids and instants only."""
